#!/bin/bash
# facts: hpcaitech/ColossalAI examples/language/llama/benchmark_65B/3d/batch2_seq2048_flash_attn.sh
cd ../..
export NCCL_IB_HCA=mlx5_1:1,mlx5_2:1
export NCCL_IB_DISABLE=0
# tp 4, pp 4, the rest data
colossalai run --nproc_per_node 8 --hostfile hosts --master_addr node0 benchmark.py -c '65b' --plugin "3d" -l 2048 -g -b 16 -x --tp 4 --pp 4 --zero 1 --mbs 8
