#!/usr/bin/env bash
# submit.sh JOB.sbatch OPTIONS: submit a job on as many nodes as the planner says; nothing is submitted if none fits
#   ./submit.sh train.sbatch --model llama3-70b --gpu H100 --seq 8192
set -euo pipefail

job=$1
shift
size=$(planner size "$@" --fields nodes,gpus_per_node --quiet)
read -r nodes gpus <<< "$size"
exec sbatch --nodes "$nodes" --gpus-per-node "$gpus" "$job"
