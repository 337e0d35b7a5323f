"""What the loss over the vocabulary keeps and moves, by the kernel that computes it.

| loss           | bytes alive per logit                                                     | of which rows |
|----------------|---------------------------------------------------------------------------|---------------|
| eager          | 12: an fp32 copy, its shifted copy, the log-softmax (then its gradient)   | all           |
| in-place       | 8: an fp32 copy and its shifted copy, whose gradient takes its place      | all           |
| fused          | 2: 16-bit logits, whose gradient takes their place                        | all           |
| chunked        | 2 of all rows; 12 of an eighth                                            | all           |
| vocab-parallel | 8: 16-bit logits, an fp32 copy that becomes the softmax, 16-bit gradient  | all           |
| linear         | 6: 16-bit logits and an fp32 softmax                                      | h / V of them |

eager: Transformers' cross-entropy (loss/loss_utils.py); 12.3 bytes measured (fms-acceleration, PowerLM-3B with and
without its own kernel). in-place: fms-acceleration's and Unsloth's kernel behind it, 8.1 measured. fused:
TransformerEngine common/triton/cross_entropy.py. chunked: torchtune's CEWithChunkedOutputLoss, 8 chunks. vocab-
parallel: Megatron-LM core/tensor_parallel/cross_entropy.py. linear: Liger's fused linear cross-entropy never has all
logits (ops/fused_linear_cross_entropy.py; likewise Wijmans 2024, arXiv:2411.09009).
"""

from __future__ import annotations

from planner.frozen import frozen
from planner.plan import Num


@frozen
class Loss:
    """One way to compute it.

    Attributes:
        alive: bytes per logit of the rows at hand; moved: bytes per logit that a pass moves.
        split: each tensor-parallel rank has its columns only; None: as the framework has it.
        sliced: of all logits as many are alive as activations of one layer: rows * h.
    """

    alive: float
    moved: float
    split: bool | None = None
    sliced: bool = False


LOSSES = {
    "eager": Loss(12.0, 12.0),
    "in-place": Loss(8.0, 8.0),
    "fused": Loss(2.0, 6.0),
    "chunked": Loss(2.0 + 12.0 / 8.0, 12.0),
    "vocab-parallel": Loss(8.0, 8.0, split=True),
    "linear": Loss(6.0, 8.0, split=True, sliced=True),
}


def alive(loss: Loss, rows: Num, columns: Num, hidden: int) -> Num:
    """Bytes at once of a loss over `rows` tokens and `columns` of the vocabulary."""
    return loss.alive * rows * (hidden if loss.sliced else columns)
