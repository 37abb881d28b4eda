"""Find the numbers in a chapter's prose that no cell has measured and none has chosen."""

import ast
import re
from collections.abc import Iterator

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

FENCE = re.compile(r"\s*(`{3,}|:{3,})(?:\{([\w:-]+)\})?(.*)")
VERIFIED = {"exercise", "solution"}
LITERAL = {"code", "code-block", "math", "raw", None}

# What is not prose, besides code. Each match is blanked, in this order.
ROLE = re.compile(r"\{[a-z:]+\}`[^`]*`")  # what is glued, and references to equations, works and chapters
OPTION = re.compile(r"^:[a-z-]+:.*|^\([\w-]+\)=|(?<=\$\$) \([\w-]+\)", re.M)
LINK = re.compile(r"(?<=\])\([^)\s]*\)|<https?://[^>]*>")
CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)
ENUMERATOR = re.compile(r"^\s*\d+\.\s", re.M)

FORMULA = re.compile(r"\$\$(?P<display>.+?)\$\$|\$(?P<inline>.+?)\$", re.S)
NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:(?=(?:x|s|ms|MB|GB)\b)|(?!\.?\w))")
NAME = re.compile(r"[A-Za-z][\w+]*-$")  # CIFAR-100, GPT-2
UNIT = re.compile(r"\s*(?:\\?%|(?:per ?cent|percentage|points?|seconds?|minutes?|hours?|m?s|x|MB|GB|times)\b)")
LEVEL = re.compile(r"\s*%\s+intervals?\b")  # the level of an interval is a choice
YEAR = re.compile(r"(?:1[89]|20)\d\d")
SMALL = 12

ONES = "one two three four five six seven eight nine ten eleven twelve".split()
TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = {word: n for n, word in enumerate([*ONES, *TEENS], 1)} | {word: 10 * n for n, word in enumerate(TENS, 2)}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6}
WORD = re.compile(rf"\b(?:(?:{'|'.join(WORDS)})[ -])?(?:{'|'.join([*TEENS, *TENS, *SCALES])})\b", re.I)


def unmeasured(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Yield (index of the cell, the number and what is around it) for each number of the prose without a source.

    Prose is the text of the chapter, and the captions and descriptions of its figures. A number has a source if it is

    - glued from a cell, which has measured it,
    - a number that the chapter's code sets (what a cell chooses, prose may repeat), or that a displayed formula
      defines,
    - part of a derivation: an integer in a formula,
    - part of an exercise or its solution: a given, or an answer that the check cell verifies,
    - counted, not measured: an integer up to twelve without a unit of measurement, as in order 4 or two networks;
    - a year, the level of an interval, or part of a name such as RK4 or CIFAR-100.
    """
    chosen = set(_chosen(notebook))
    for index, cell in enumerate(notebook.cells):
        for text in [_prose(cell.source)] if cell.cell_type == "markdown" else _captions(cell.source):
            for start, end in _without_source(text, chosen):
                yield index, " ".join(text[max(0, start - 30) : end + 20].split())


def _without_source(text: str, chosen: set[float]) -> Iterator[tuple[int, int]]:
    """Yield where in the text a number stands that has no source."""
    for formula in FORMULA.finditer(text):
        for found in NUMBER.finditer(formula["inline"] or ""):
            derived = "." not in found[0] and not re.match(r"(?:\s|\\[,;:])*\\%", formula["inline"][found.end() :])
            if not derived and _value(found[0]) not in chosen:
                yield formula.start() + 1 + found.start(), formula.start() + 1 + found.end()
    text = FORMULA.sub(lambda match: "$" * len(match[0]), text)
    for found in NUMBER.finditer(text):
        value, unit = _value(found[0]), UNIT.match(text, found.end())
        counted = "." not in found[0] and value <= SMALL and not unit
        percent = unit and "%" in unit[0] and (value / 100 in chosen or LEVEL.match(text, found.end()))
        named = NAME.search(text[: found.start()])
        if not (counted or percent or named or value in chosen or YEAR.fullmatch(found[0])):
            yield found.span()
    for found in WORD.finditer(text):
        *first, last = re.split("[ -]", found[0].lower())
        times = WORDS[first[0]] if first else 1
        value = times * SCALES[last] if last in SCALES else WORDS[last]
        if value not in chosen:
            yield found.span()


def _tree(source: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(source))


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _split(source: str) -> tuple[str, str]:
    """Return the text without code and exercises, and the fenced code."""
    text, code, open_fences = [], [], []
    for line in source.splitlines():
        fence = FENCE.match(line)
        if fence and open_fences and fence[1].startswith(open_fences[-1][0]) and not (fence[2] or fence[3].strip()):
            open_fences.pop()
        elif fence and not (open_fences and open_fences[-1][1] == "code"):
            kind = "verified" if fence[2] in VERIFIED else "code" if fence[2] in LITERAL else "text"
            open_fences.append((fence[1], kind))
            text.append(fence[3] if kind == "text" else "")  # the title of a theorem is prose
        elif {"code", "verified"} & {kind for _, kind in open_fences}:
            code.append(line if open_fences[-1][1] == "code" else "")
        else:
            text.append(line)
    return "\n".join(text), "\n".join(code)


def _prose(source: str) -> str:
    text, _ = _split(source)
    for pattern in (ROLE, OPTION, LINK, CODE, ENUMERATOR):
        text = pattern.sub(lambda match: " " * len(match[0]), text)
    return text


def _captions(source: str) -> Iterator[str]:
    """Yield what a code cell says in words beside its figures; what it computes there is no constant."""
    for call in ast.walk(_tree(source)):
        for keyword in getattr(call, "keywords", []):
            if keyword.arg in ("alt", "caption", "title"):
                constants = [node.value for node in ast.walk(keyword.value) if isinstance(node, ast.Constant)]
                yield from (value for value in constants if isinstance(value, str))


def _chosen(notebook: NotebookNode) -> Iterator[float]:
    """Yield the numbers in code, of cells and quoted in the text, and the decimals of displayed formulas."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(_tree(cell.source)):
                if isinstance(node, ast.Constant) and isinstance(node.value, int | float | complex):
                    yield abs(node.value)
        else:
            text, code = _split(cell.source)
            quoted = [code, *(match[2] for match in CODE.finditer(text))]
            shown = [match["display"] for match in FORMULA.finditer(text) if match["display"]]
            yield from (_value(number) for code in quoted for number in NUMBER.findall(code))
            yield from (_value(number) for formula in shown for number in NUMBER.findall(formula) if "." in number)


def words(notebook: NotebookNode) -> int:
    """Count the words of the main text: Markdown without code, mathematics, exercises and solutions.

    What folds counts, and so do titles and tables; a number or a reference that the page fills in is one word.
    """
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text, _ = _split(cell.source)
            text = ROLE.sub(" word ", text)
            for pattern in (OPTION, FORMULA, LINK, CODE, ENUMERATOR):
                text = pattern.sub(" ", text)
            count += len(re.findall(r"[^\W\d_][\w'’-]*|\d[\d.,]*", text))
    return count


GLUED = re.compile(r"\{glue:\w*\}`(?:[^`]*::)?([a-z0-9-]+)")


def idle(notebook: NotebookNode, used: set[str]) -> Iterator[tuple[int, str]]:
    """Yield (index of the cell, name) for each ``report`` whose number no page uses; a claim needs no page.

    A name that a loop makes counts as used if one that it can make is.
    """
    for index, cell in enumerate(notebook.cells):
        calls = ast.walk(_tree(cell.source)) if cell.cell_type == "code" else []
        for call in calls:
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "report":
                name = call.args[0]
                parts = name.values if isinstance(name, ast.JoinedStr) else [name]
                constants = [part.value if isinstance(part, ast.Constant) else None for part in parts]
                pattern = "".join("[a-z0-9-]+" if part is None else re.escape(str(part)) for part in constants)
                if not any(re.fullmatch(pattern, one) for one in used):
                    yield index, ast.unparse(name)
