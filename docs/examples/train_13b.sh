#!/bin/bash
# A launch script that runs out of memory: planner check docs/examples/train_13b.sh --gpus 2x8xA100
export CUDA_DEVICE_MAX_CONNECTIONS=1
NNODES=${NNODES:-2}
TP=2
PP=2
SEQ=4096

MODEL=(
    --num-layers 40 --hidden-size 5120 --ffn-hidden-size 13824 --num-attention-heads 40
    --seq-length $SEQ --max-position-embeddings $SEQ --position-embedding-type rope
    --swiglu --normalization RMSNorm --disable-bias-linear --untie-embeddings-and-output-weights
    --attention-dropout 0 --hidden-dropout 0
    --tokenizer-type Llama2Tokenizer --tokenizer-model tokenizer.model
)
PARALLEL="--tensor-model-parallel-size $TP --pipeline-model-parallel-size $PP"
if [ $TP -gt 1 ]; then
    PARALLEL="$PARALLEL --sequence-parallel"
fi

torchrun --nnodes $NNODES --nproc-per-node 8 --node-rank $NODE_RANK --master-addr $MASTER_ADDR \
    pretrain_gpt.py "${MODEL[@]}" $PARALLEL \
    --micro-batch-size 8 --global-batch-size 512 --bf16 \
    --data-path ${DATA:?where the tokens are} --train-iters 1000 --lr 3e-4
