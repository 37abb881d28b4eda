"""Kept samples: what the trained models of a study of text write, so that a chapter can show it without training.

``python -m odelib.teaching.samples runs/text-characters`` reads a study's folder, as ``odelib study`` leaves it, and
writes ``samples.json`` beside the kept study of that name. It holds what the model of each variant wrote, and how the
file came about; it holds nothing of the data set, whose sentences are loaded where they are shown:

- tiny-shakespeare: continuations of a few prompts, at a few temperatures,
- clinc150: the number of the intent that is given to each test request,
- multi30k: a translation of each test sentence, by greedy search as in the study.

``--weights parallel`` keeps the weights of one variant too, in float16.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from odelib.data import END, PAD, START, kept_subwords, load_clinc150, load_multi30k, load_tiny_shakespeare, pad
from odelib.models import CausalLM, EncoderDecoder, save_pretrained
from odelib.names import choose
from odelib.studies.runs import open_study
from odelib.teaching.results import SAMPLES, STUDIES
from odelib.training import Runtime, TrainConfig, TrainingError, load_run, read_metrics, translations
from odelib.training.record import environment, source_commit

PROMPTS = ("ROMEO:\n", "The king ", "What is ")
TEMPERATURES = (0.0, 0.5, 0.8, 1.2)
LENGTH = 128
"""Characters of each text, the prompt among them."""


def continuations(model: CausalLM, *, seed: int = 0) -> dict[str, list[str]]:
    """What a character model writes after each of ``PROMPTS``: a list of texts for each temperature."""
    vocabulary = load_tiny_shakespeare().vocabulary
    texts: dict[str, list[str]] = {}
    for temperature in TEMPERATURES:
        generator = torch.Generator().manual_seed(seed)
        texts[f"{temperature:g}"] = [
            vocabulary.decode(
                model.generate(
                    vocabulary.encode(prompt)[None],
                    LENGTH - len(prompt),
                    temperature=temperature,
                    generator=generator,
                )[0]
            )
            for prompt in PROMPTS
        ]
    return texts


def _characters(config: TrainConfig, model: nn.Module) -> dict[str, list[str]]:
    return continuations(cast(CausalLM, model))


def _intents(config: TrainConfig, model: nn.Module) -> list[int]:
    data = load_clinc150()
    subwords = kept_subwords(data.train_texts, config.subwords, data.name)
    tokens = pad([[*numbers, END] for numbers in subwords.encode(data.test_texts)])
    with torch.inference_mode():
        given = [model(part, part != PAD).argmax(dim=1) for part in torch.split(tokens, 500)]
    return cast(list[int], torch.cat(given).tolist())


def _translations(config: TrainConfig, model: nn.Module) -> list[str]:
    data = load_multi30k()
    subwords = kept_subwords((*data.train_source, *data.train_target), config.subwords, data.name)

    def write(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return cast(EncoderDecoder, model).translate(tokens, mask, start=START, end=END)[0]

    return translations(write, data.test_source, subwords, Runtime.choose("cpu", "float32"))


_WRITERS: dict[str, Callable[[TrainConfig, nn.Module], Any]] = {
    "tiny-shakespeare": _characters,
    "clinc150": _intents,
    "multi30k": _translations,
}


def keep_samples(folder: Path, out: Path, *, seed: int = 0, weights: str | None = None, command: str = "") -> None:
    """Write what the trained models of a study write, and perhaps the weights of one.

    Args:
        folder: A study of text with one setting, as ``odelib study`` leaves it.
        out: Where ``samples.json`` goes, and the weights.
        seed: Whose models are read.
        weights: The variant whose weights are kept, in float16; None: of none.
        command: What the file says how it was made.

    Raises:
        ValueError: The study has no such variant, or is not one of text.
        TrainingError: The folder is not that of a study, or a run is missing.
    """
    study, runs, _ = open_study(folder)
    if weights is not None:
        choose(weights, study.variants, "variant")
    (setting,) = study.settings
    trained = {run.provenance["commit"] for run in runs if run.seed == seed}
    samples: dict[str, Any] = {}
    for variant in study.variants:
        run = folder / setting / variant / f"seed{seed}" / "run"
        config, model = load_run(run)
        samples[variant] = _WRITERS[choose(config.data, _WRITERS, "data set of texts")](config, model)
        if variant == weights:
            _, history = read_metrics(run)
            card = {"command": command, "data": config.data, "seed": seed, "test_loss": history[-1].test_loss}
            save_pretrained(model.half(), out, card)
    made = {
        "command": command,
        "commit": source_commit(),
        "trained at commit": sorted(map(str, trained)),
        "seed": seed,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        **environment(),
    }
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"made": made, "samples": samples}, ensure_ascii=False, indent=0, allow_nan=False)
    (out / SAMPLES).write_text(text + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the samples of the study in the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m odelib.teaching.samples", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a study's folder, such as runs/text-characters")
    parser.add_argument("--out", type=Path, help="where to write; else beside the kept study of the folder's name")
    parser.add_argument("--weights", metavar="VARIANT", help="keep the weights of this variant too, in float16")
    given = parser.parse_args(arguments)
    options = f" --weights {shlex.quote(given.weights)}" if given.weights else ""
    command = f"python -m odelib.teaching.samples runs/{given.folder.resolve().name}{options}"
    out = given.out or STUDIES / given.folder.resolve().name
    try:
        keep_samples(given.folder, out, weights=given.weights, command=command)
    except (TrainingError, ValueError) as error:
        parser.error(str(error))
    print(f"kept what the models of {given.folder} write in {out / SAMPLES}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
