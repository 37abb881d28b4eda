"""Whole models in training beside timm's DeiT-Ti for 32 pixels: python benchmarks/models.py [--quick].

Prints the time of a training step (forward, backward, AdamW), medians of interleaved runs, in float32 and under bf16
autocast; of shared weights under Euler and RK4 steps; and the peak memory of reversible training for 4 and 48 steps.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import timm
import torch
from timing import interleaved, machine, table
from torch import nn

from odelib.models import ViT, ViTConfig

DEIT = ViTConfig.preset("deit-tiny-32")


def timms(config: ViTConfig) -> nn.Module:
    return timm.create_model(
        "deit_tiny_patch16_224",
        pretrained=False,
        img_size=config.image_size,
        patch_size=config.patch_size,
        num_classes=config.num_classes,
        depth=config.intervals,
    )


def training_step(model: nn.Module, batch: int, bf16: bool) -> Callable[[], None]:
    images, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def call() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = model(images)
        torch.autograd.backward(nn.functional.cross_entropy(logits.float(), labels))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return call


def compare(batch: int, runs: int, config: ViTConfig, bf16: bool) -> None:
    contenders = {
        "timm deit_tiny": timms(config),
        "usual (lie-trotter)": ViT(config),
        "parallel (euler)": ViT(replace(config, step_rule="euler")),
        "parallel, one norm": ViT(replace(config, step_rule="euler", norm_place="shared")),
    }
    medians = interleaved({name: training_step(model, batch, bf16) for name, model in contenders.items()}, runs)
    table(f"training step, batch {batch}, {'bf16 autocast' if bf16 else 'float32'}", medians, "timm deit_tiny")
    for name, seconds in medians.items():
        print(f"{name:34}{batch / seconds:9.1f} images per second")


def compare_rules(batch: int, runs: int, steps: int) -> None:
    shared = replace(DEIT, step_rule="euler", intervals=3, steps=steps)
    contenders = {"euler": ViT(shared), "rk4": ViT(replace(shared, step_rule="rk4"))}
    medians = interleaved({name: training_step(model, batch, False) for name, model in contenders.items()}, runs)
    medians["4 x euler"] = 4 * medians["euler"]
    table(f"3 shared intervals x {steps} steps, float32", medians, "4 x euler")


# Every tensor of 1 MiB or more goes back to the system at once, so that what the allocator keeps is not counted.
EXACT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}

# On Linux: writing 5 to clear_refs forgets the peak so far, and status tells the memory now and at the peak, in KiB.
MEMORY = """
import re, sys, torch
from odelib.models import ViT, ViTConfig
torch.set_num_threads(1)
steps, batch = int(sys.argv[1]), int(sys.argv[2])
model = ViT(ViTConfig.preset("deit-tiny-32", step_rule="euler", intervals=1, steps=steps, gradient=sys.argv[3]))
model(torch.randn(1, 3, 32, 32)).sum().backward()  # what is loaded and allocated once for all
open("/proc/self/clear_refs", "w").write("5")
status = lambda name: int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
before = status("VmRSS")
model(torch.randn(batch, 3, 32, 32)).sum().backward()
print(max(status("VmHWM") - before, 1))
"""


def compare_memory(batch: int) -> None:
    print(
        f"\npeak memory of one forward and backward pass, batch {batch}, one weight set, in MiB (process, above start)"
    )
    for gradient in ("backprop", "reversible"):
        command = [[sys.executable, "-c", MEMORY, str(steps), str(batch), gradient] for steps in (4, 48)]
        few, many = (
            int(subprocess.run(c, check=True, capture_output=True, text=True, env=EXACT).stdout) for c in command
        )
        print(f"{gradient:12} 4 steps {few / 1024:8.1f}   48 steps {many / 1024:8.1f}   ratio {many / few:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny setting: that it runs, no measurement")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each contender")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(min(2, torch.get_num_threads()))
    print(machine())
    batch, runs = (2, 1) if options.quick else (64, options.runs)
    config = replace(DEIT, intervals=1) if options.quick else DEIT
    for bf16 in (False, True):
        compare(batch, runs, config, bf16)
    compare_rules(batch, runs, steps=1 if options.quick else 4)
    compare_memory(2 if options.quick else 64)


if __name__ == "__main__":
    main()
