#!/bin/bash
# facts: NVIDIA/Megatron-LM examples/deepseek_v3/train_deepseek_v3_slurm.sh
#SBATCH --job-name=deepseek
#SBATCH --nodes=8                            # machines
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:8

node_list=$(scontrol show hostnames $SLURM_JOB_NODELIST)
node_array=(${node_list})
master_node=${node_array[0]}
export SLURM_MASTER_ADDR="${SLURM_MASTER_ADDR:-$master_node}"
export DOCKER_IMAGE=${DOCKER_IMAGE:-"example/megatron:v1"}
if docker ps; then
    export container_command=docker
else
    if podman ps; then
        export container_command=podman
    else
        exit 1
    fi
fi
${container_command} pull $DOCKER_IMAGE
export MEGATRON_DIR=${PWD}
export HOST_MOUNT=${HOST_MOUNT:=${HOME}}
export NETWORK_INTERFACE=${NETWORK_INTERFACE:-"bond0"}

srun bash -c '${container_command} run --rm \
 --env SLURM_MASTER_ADDR=$SLURM_MASTER_ADDR \
 --env "SLURM_PROCID=$SLURM_PROCID" \
 --ipc=host --network=host --device=/dev/kfd \
 -v $HOST_MOUNT:$HOST_MOUNT \
 $DOCKER_IMAGE /bin/bash -c \
 "echo $(date); \
 cd ${MEGATRON_DIR}; \
 NCCL_SOCKET_IFNAME=${NETWORK_INTERFACE} \
MODEL_SIZE=671B \
SEQ_LEN=4096 \
MICRO_BATCH_SIZE=1 GLOBAL_BATCH_SIZE=32 \
TP=2 PP=16 EP=4 \
bash examples/deepseek_v3/train_deepseekv3.sh 2>&1 | tee log.txt; \
echo $(date)"'
