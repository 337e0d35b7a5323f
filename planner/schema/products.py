"""How matrix products below 16 bit run on an accelerator."""

from planner.schema.base import Record, Text, Trust
from planner.schema.quantities import Extent, Fraction


class ProductRate(Record):
    """Matrix products in one format narrower than 16 bit on this part.

    Attributes:
        gemm, gemm_dim: as in `Efficiency`, of the peak that computes the format.
        transposed: kernels read operands along the inner dimension only (Hopper's TN layout), so that a tensor with one
            scale is written twice, once transposed.
        cast: share of the memory bandwidth that making operands reaches; absent: that of streaming kernels.
        trust, source: as in `Efficiency`.
    """

    gemm: Fraction
    gemm_dim: Extent
    transposed: bool = False
    cast: Fraction | None = None
    trust: Trust
    source: Text


class ProductRates(Record):
    """Formats that training kernels exist for beside 16 bit; absent: none. experts: 16-bit products, one for each."""

    fp8: ProductRate | None = None
    fp8_block: ProductRate | None = None
    mxfp8: ProductRate | None = None
    nvfp4: ProductRate | None = None
    experts: ProductRate | None = None
