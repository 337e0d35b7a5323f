#!/bin/bash
# facts: hiyouga/LLaMA-Factory examples/full_multi_gpu/multi_node.sh
NNODES=${NNODES:-4}
python -m torch.distributed.run \
    --nproc_per_node ${NPROC_PER_NODE:-8} \
    --nnodes $NNODES \
    --node_rank $RANK \
    --master_addr $MASTER_ADDR \
    ../../src/train_bash.py \
    --deepspeed ds_z3_config.json \
    --stage sft \
    --do_train \
    --model_name_or_path meta-llama/Llama-2-7b-hf \
    --finetuning_type full \
    --cutoff_len 1024 \
    --per_device_train_batch_size 1 \
    --gradient_accumulation_steps 2 \
    --learning_rate 5e-5 \
    --fp16
