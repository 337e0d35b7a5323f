#!/bin/bash
# facts: NVIDIA/Megatron-LM examples/azure/run-175b.sh
set -ex
DATA_PATH=$PWD/dataset/books
DS_CONFIG=ds_config.json
HF=/job/hostfile
TP=1
PP=1
NLAYERS=96
HIDDEN=12288
HEADS=96
SEQ=1024
MICRO_BATCH=4
NODES=1
GPN=8
GLOBAL_BATCH=$(( ${GPN} * ${MICRO_BATCH} * ${NODES} ))
#OFFLOAD_DEVICE="cpu"
OFFLOAD_DEVICE="none"
CPU_OPTIM=" "
ZERO_STAGE=3
OUTPUT_DIR=z${ZERO_STAGE}_nl${NLAYERS}_mb${MICRO_BATCH}
mkdir -p $OUTPUT_DIR

cat <<EOT > $DS_CONFIG
{
  "train_batch_size" : $GLOBAL_BATCH,
  "train_micro_batch_size_per_gpu": $MICRO_BATCH,
  "gradient_accumulation_steps": 1,
  "zero_optimization": {
    "stage": $ZERO_STAGE,
    "overlap_comm": true,
    "offload_optimizer": {"device": "$OFFLOAD_DEVICE"}
  },
  "fp16": {"enabled": true}
}
EOT

ds_args=" "
ds_args=" --deepspeed ${ds_args}"
ds_args=" --no-pipeline-parallel ${ds_args}"
ds_args=" --deepspeed_config=$DS_CONFIG ${ds_args}"
ds_args=" --zero-stage=$ZERO_STAGE ${ds_args}"

deepspeed --force_multi --num_nodes=$NODES --hostfile $HF pretrain_gpt.py \
    --tensor-model-parallel-size $TP \
    --pipeline-model-parallel-size $PP \
    --num-layers $NLAYERS --hidden-size $HIDDEN --num-attention-heads $HEADS \
    --seq-length $SEQ --max-position-embeddings $SEQ \
    --micro-batch-size $MICRO_BATCH --global-batch-size $GLOBAL_BATCH \
    --data-path $DATA_PATH \
    --fp16 \
    --checkpoint-activations \
    $CPU_OPTIM $ds_args \
    --exit-interval 5000 | tee ${OUTPUT_DIR}/output.log
