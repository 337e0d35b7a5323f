#!/bin/bash
# facts: NVIDIA/Megatron-LM examples/academic_paper_scripts/sc21/SRUN.sh and CONFIG.sh
#SBATCH -t 0:30:00 --exclusive --mem=0 --overcommit --ntasks-per-node=8
: "${MEGATRON_CODE_DIR:?say where it is}"
TP=8
PP=12
MBS=1
GBS=1536
THIS_DIR=`pwd`
DATETIME=`date +'date_%y-%m-%d_time_%H-%M-%S'`
mkdir -p ${THIS_DIR}/logs
export MEGATRON_PARAMS=" ${MEGATRON_EXTRA_PARAMS} \
	--tensor-model-parallel-size ${TP} \
	--pipeline-model-parallel-size ${PP} \
	--micro-batch-size ${MBS} \
	--global-batch-size ${GBS} \
        --num-layers 96 \
        --hidden-size 12288 \
        --num-attention-heads 96 \
        --seq-length 2048 \
        --fp16 "
CMD="python -u ${MEGATRON_CODE_DIR}/pretrain_gpt.py ${MEGATRON_PARAMS}"
srun -l -N 12 --ntasks-per-node=8 \
     --container-image "example#pytorch:20.12" \
     --output=${THIS_DIR}/logs/%x_%j_$DATETIME.log sh -c "${CMD}"
