"""One block, forward and backward, beside timm's: python benchmarks/blocks.py [--quick] [--compile].

Prints, per number of tokens and number format: milliseconds of each block, medians of interleaved runs, and what share
of the machine's own rate for matrix products timm's block reaches; then the two ways to compute attention, which
`odelib.layers.attention.attend` chooses between; then the number of kernels of each block's forward pass.
"""

import argparse
from collections.abc import Callable

import torch
from timing import CountKernels, OneAttention, forward_backward, interleaved, machine, profiled_kernels, table
from timm.models.vision_transformer import Block, ParallelScalingBlock
from torch import Tensor, nn
from torch._inductor.exc import InductorError
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.layers import Context, DepthBlock, DepthSchedule, FusedTransformerField, TransformerField
from odelib.layers.attention import explicit_attention

DIM, HEADS = 192, 3


def ours(rule: str, *, place: str = "pre", form: type[TransformerField] = TransformerField) -> nn.Module:
    return DepthBlock([form(DIM, HEADS, norm_place=place)], rule, DepthSchedule(1))


def blocks() -> dict[str, nn.Module]:
    return {
        "timm Block": Block(DIM, HEADS, qkv_bias=True),
        "timm ParallelScalingBlock": ParallelScalingBlock(DIM, HEADS, qkv_bias=True),
        "usual (lie-trotter)": ours("lie-trotter"),
        "parallel (euler)": ours("euler"),
        "parallel, one norm": ours("euler", place="shared"),
        "parallel, two products": ours("euler", form=FusedTransformerField),
        "parallel, one norm, two products": ours("euler", place="shared", form=FusedTransformerField),
    }


class FoldedBefore(nn.Module):
    """The parallel block in all evaluations of an interval but the first: its weights are folded already."""

    def __init__(self, place: str) -> None:
        super().__init__()
        with torch.no_grad():
            self.field = FusedTransformerField(DIM, HEADS, norm_place=place).bind(Context())

    def forward(self, x: Tensor) -> Tensor:
        """Return the state after one Euler step."""
        return torch.add(x, self.field(0.0, x), alpha=1.0)


def counted_blocks() -> dict[str, nn.Module]:
    return blocks() | {
        "parallel, folded before": FoldedBefore("pre"),
        "parallel, one norm, folded before": FoldedBefore("shared"),
    }


def gemm_seconds(batch: int, tokens: int, dtype: torch.dtype, runs: int) -> float:
    """The block's matrix products alone, forward and backward: 3 times (batch tokens) x dim x 12 dim in all."""
    rows = batch * tokens
    pairs = [(DIM, 3 * DIM), (DIM, DIM), (DIM, 4 * DIM), (4 * DIM, DIM)]
    parts = [(torch.randn(rows, k, dtype=dtype), torch.randn(n, k, dtype=dtype)) for k, n in pairs]
    outs = [torch.randn(rows, n, dtype=dtype) for _, n in pairs]

    def products() -> None:
        for (x, w), out in zip(parts, outs, strict=True):
            torch.mm(x, w.T)
            torch.mm(out, w)
            torch.mm(out.T, x)

    return interleaved({"products": products}, runs)["products"]


def time_blocks(batch: int, tokens: int, dtype: torch.dtype, runs: int, compiled: bool) -> None:
    x = torch.randn(batch, tokens, DIM, dtype=dtype)
    contenders: dict[str, Callable[[], object]] = {}
    for name, block in blocks().items():
        block = block.to(dtype)
        call = forward_backward(torch.compile(block, fullgraph=True) if compiled else block, x)
        try:
            call()
        except InductorError as error:  # torch's own compiler can fail, on timm's blocks as on ours
            print(f"{name}: torch compiles it not here: {str(error).splitlines()[0]}")
        else:
            contenders[name] = call
    medians = interleaved(contenders, runs)
    how = "compiled" if compiled else "eager"
    table(f"{tokens} tokens, batch {batch}, {str(dtype)[6:]}, {how}, forward + backward", medians, "timm Block")
    share = gemm_seconds(batch, tokens, dtype, runs) / medians["timm Block"]
    print(f"timm's Block reaches {share:.2f} of the rate of its matrix products alone")


def time_attention(batch: int, tokens: int, dtype: torch.dtype, runs: int) -> None:
    q, k, v = (torch.randn(batch, HEADS, tokens, DIM // HEADS, dtype=dtype, requires_grad=True) for _ in range(3))
    ways = {
        "fused": nn.functional.scaled_dot_product_attention,
        "explicit": lambda q, k, v: explicit_attention(q, k, v, read=False),
    }

    def call(way: Callable[..., Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(way(q, k, v).sum(), (q, k, v))

    medians = interleaved({name: call(way) for name, way in ways.items()}, runs)
    table(f"attention alone: {tokens} tokens, batch {batch}, {str(dtype)[6:]}", medians, "fused")


def count_kernels(batch: int, tokens: int) -> None:
    print(f"\nkernels of a forward pass, {tokens} tokens\n{'':34}{'CPU':>6}{'cuda':>6}")
    for name, block in counted_blocks().items():
        x = torch.randn(batch, tokens, DIM)
        with torch.no_grad():
            on_cpu = profiled_kernels(lambda block=block, x=x: block(x))
            with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.device("cuda"):
                fake = blocks_on(mode, name)
                with CountKernels() as counter, OneAttention(counter):
                    fake(torch.empty(batch, tokens, DIM))
        print(f"{name:34}{on_cpu:6}{len(counter.names):6}  {' '.join(counter.names)}")


def blocks_on(mode: FakeTensorMode, name: str) -> nn.Module:
    """The named block with fake weights on the device of the context."""
    real = torch.nn.init.trunc_normal_
    torch.nn.init.trunc_normal_ = lambda tensor, *args, **kwargs: tensor  # it reads values back
    try:
        return counted_blocks()[name]
    finally:
        torch.nn.init.trunc_normal_ = real


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny setting: that it runs, no measurement")
    parser.add_argument("--compile", action="store_true", help="the blocks compiled too")
    parser.add_argument("--runs", type=int, default=30, help="timed runs of each contender")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(min(2, torch.get_num_threads()))
    # Our blocks share their code: compiled for each setting, it is met more often than torch's limit of 8 allows.
    torch._dynamo.config.recompile_limit = 64
    batch, lengths, runs = (2, (9,), 2) if options.quick else (32, (65, 197), options.runs)
    print(machine())
    for dtype in (torch.float32, torch.bfloat16):
        for tokens in lengths:
            for compiled in (False, True) if options.compile else (False,):
                time_blocks(batch, tokens, dtype, runs, compiled)
            time_attention(batch, tokens, dtype, runs)
    count_kernels(batch, lengths[0])


if __name__ == "__main__":
    main()
