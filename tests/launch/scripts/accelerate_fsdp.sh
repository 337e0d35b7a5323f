#!/bin/bash
# facts: Shujun-He/RibonanzaNet2 job.sh
#SBATCH --nodes 1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --partition defq

/opt/conda/envs/torch/bin/accelerate launch --config_file FSDP.yaml run.py --config_path configs/benchmark.yaml
