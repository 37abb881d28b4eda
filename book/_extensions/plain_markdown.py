"""What only the book can show, as Markdown that any notebook shows.

Numbers that cells have glued are filled in, theorems, proofs, exercises and
solutions become headings and text, references links to the pages.
"""

import ast
import html
import json
import re
from pathlib import Path
from typing import Any

import yaml

FENCE = re.compile(
    r"^(?P<ticks>`{3,}|:{3,})\{(?P<kind>[\w:-]+)\}[ ]*(?P<title>[^\n]*)\n"
    r"(?P<options>(?::[\w-]+:[^\n]*\n)*)(?P<body>.*?)^(?P=ticks)[ ]*$\n?",
    re.M | re.S,
)
ROLE = re.compile(r"\{(?P<role>[a-z:]+)\}`(?P<text>[^`]*)`")
LABEL = re.compile(r"^\$\$ \((?P<label>[\w-]+)\)", re.M)
TARGET = re.compile(r"^\([\w-]+\)=\n", re.M)
PAGE = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<page>(?:\d\d-)?[\w-]+)\)")
ENTRY = re.compile(r"^@\w+\{(?P<key>[^,]+),(?P<body>.*?)^\}", re.M | re.S)
FIELD = re.compile(r"^\s*(\w+)\s*=\s*[{\"](.*)[}\"],?\s*$", re.M)
NUMBERED = ("theorem", "lemma", "definition", "corollary", "proposition")
NUMBERED += ("remark", "algorithm", "example", "exercise", "assumption")


class NotExecutedError(ValueError):
    """A text has a number that no output of its notebook has."""


class Book:
    """What references lead to: chapters, equations, theorems, works."""

    def __init__(self, root: Path) -> None:
        """Read the contents, the chapters and the bibliography."""
        config = yaml.safe_load((root / "_config.yml").read_text())
        self.address = config["html"]["baseurl"] + "book/"
        self.repository = config["repository"]["url"]
        moved = config["sphinx"]["config"].get("redirects", {})
        self.moved = {
            Path(old).name: new.removesuffix(".html")
            for old, new in moved.items()
        }
        contents = yaml.safe_load((root / "_toc.yml").read_text())
        parts = contents.get("parts", [])
        numbered = [p for p in parts if p.get("numbered")]
        files = [
            root / f"{c['file']}.ipynb"
            for p in numbered
            for c in p["chapters"]
        ]
        self.chapters = {path.stem: n for n, path in enumerate(files, 1)}
        self.labels: dict[str, tuple[str, str]] = {}
        self.notebooks = {
            path: json.loads(path.read_text()) for path in files
        }
        for path, notebook in self.notebooks.items():
            self._count(path.stem, notebook)
        self.works = works((root / "book/references.bib").read_text())

    def _count(self, page: str, notebook: Any) -> None:
        """Number the equations, theorems and exercises as the pages do."""
        counts: dict[str, int] = {}
        for cell in notebook["cells"]:
            if cell["cell_type"] != "markdown":
                continue
            text = "".join(cell["source"])
            marks = [
                (m.start(), "equation", m["label"])
                for m in LABEL.finditer(text)
            ]
            for found in fences(text):
                kind, options = (
                    found["kind"].removeprefix("prf:"),
                    found["options"],
                )
                name = re.search(r":label: *(\S+)", options)
                if kind in NUMBERED and ":nonumber:" not in options:
                    marks.append(
                        (found["start"], kind, name[1] if name else "")
                    )
            for _, kind, name in sorted(marks):
                counts[kind] = counts.get(kind, 0) + 1
                number = f"{self.chapters[page]}.{counts[kind]}"
                anchor = f"equation-{name}" if kind == "equation" else name
                shown = (
                    f"({number})"
                    if kind == "equation"
                    else f"{kind} {number}"
                )
                self.labels[name] = (
                    shown,
                    f"{self.address}{page}.html#{anchor}",
                )

    def link(self, name: str, title: str = "") -> str:
        """Return a link to an equation, theorem or exercise."""
        shown, where = self.labels[name]
        return f"[{title or shown}]({where})"

    def chapter(self, page: str, title: str = "") -> str:
        """Return a link to a page, which is a chapter or not."""
        number = self.chapters.get(page)
        shown = title or (f"chapter {number}" if number else page)
        return f"[{shown}]({self.address}{page}.html)"


def works(bib: str) -> dict[str, tuple[str, str, str]]:
    """Return authors, year and address of the works of a bibliography."""
    found = {}
    for entry in ENTRY.finditer(bib):
        fields = {k.lower(): v for k, v in FIELD.findall(entry["body"])}
        names = [
            n.split(",")[0] if "," in n else n.split()[-1]
            for n in re.split(r"\s+and\s+", fields.get("author", ""))
        ]
        who = names[0] if names else entry["key"]
        who += f" and {names[1]}" if len(names) == 2 else ""
        who += " et al." if len(names) > 2 else ""
        where = fields.get("url", "")
        if "eprint" in fields:
            where = f"https://arxiv.org/abs/{fields['eprint']}"
        if "doi" in fields:
            where = f"https://doi.org/{fields['doi']}"
        who = re.sub(r"[{}]|\\[\"'`^~]|\\", "", who)
        found[entry["key"].strip()] = (who, fields.get("year", ""), where)
    return found


def fences(text: str) -> list[dict[str, Any]]:
    """Return the directives of a cell, also those within others."""
    found = []
    for match in FENCE.finditer(text):
        found.append({**match.groupdict(), "start": match.start()})
        for inner in fences(match["body"]):
            found.append(
                {**inner, "start": match.start("body") + inner["start"]}
            )
    return found


def glued(notebook: Any) -> dict[str, str]:
    """Return the numbers that the cells of a notebook have glued."""
    found = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name:
                (text,) = output["data"].values()
                found[name] = str(ast.literal_eval("".join(text)))
    return found


def plain(
    text: str, book: Book, numbers: dict[str, str], solutions: bool
) -> str:
    """Return the Markdown of a cell as any notebook shows it."""

    def directive(match: re.Match[str]) -> str:
        kind = match["kind"].removeprefix("prf:")
        body = plain(match["body"].strip("\n"), book, numbers, solutions)
        name = re.search(r":label: *(\S+)", match["options"])
        title = f" ({role_free(match['title'])})" if match["title"] else ""
        if kind in NUMBERED:
            shown = book.labels[name[1]][0] if name else kind
            return f"> **{shown.capitalize()}{title}.**\n>\n{quoted(body)}\n"
        if kind == "proof":
            return f"*Proof.* {body} $\\square$\n"
        if kind == "solution":
            if not solutions:
                return ""
            label = match["title"].strip()
            shown = book.labels[label][0]
            return details(f"Solution to {shown}", body)
        if kind == "dropdown":
            return details(match["title"], body)
        if kind in (
            "note",
            "tip",
            "warning",
            "important",
            "admonition",
            "seealso",
        ):
            head = (
                match["title"] if kind == "admonition" else kind.capitalize()
            )
            return f"> **{role_free(head)}.**\n>\n{quoted(body)}\n"
        if kind == "math":
            return f"$$\n{body}\n$$\n"
        if kind in ("code-block", "code"):
            return f"```{match['title']}\n{match['body']}```\n"
        return body + "\n"

    def role_free(line: str) -> str:
        return ROLE.sub(role, line)

    def role(match: re.Match[str]) -> str:
        kind, inner = match["role"], match["text"]
        titled = re.fullmatch(r"(.*?)\s*<(.+)>", inner, re.S)
        title, target = titled.groups() if titled else ("", inner)
        if kind.startswith("glue"):
            name = target.split("::")[-1].split(":")[0]
            if name not in numbers:
                raise NotExecutedError(
                    f"no output has {name}: execute the chapter, make execute"
                )
            return numbers[name]
        if kind in ("eq", "prf:ref", "ref", "numref"):
            return (
                book.link(target, title)
                if target in book.labels
                else title or target
            )
        if kind == "doc":
            return book.chapter(target.removeprefix("/book/"), title)
        if kind.startswith("cite"):
            works = (cited(key.strip(), kind) for key in target.split(","))
            listed = "; ".join(works)
            return listed if kind.endswith(":t") else f"({listed})"
        if kind == "term":
            anchor = re.sub(r"\s+", "-", target)
            return f"[{title or target}]({book.address}glossary.html#term-{anchor})"
        return title or target

    def cited(key: str, kind: str) -> str:
        who, year, where = book.works[key]
        shown = f"{who} ({year})" if kind.endswith(":t") else f"{who}, {year}"
        return f"[{shown}]({where})" if where else shown

    text = TARGET.sub("", text)
    text = FENCE.sub(directive, text)
    text = number_equations(text, book)
    text = ROLE.sub(role, text)
    return PAGE.sub(
        lambda m: (
            book.chapter(m["page"], m["text"])
            if (m["page"] in book.chapters)
            else m[0]
        ),
        text,
    )


def number_equations(text: str, book: Book) -> str:
    """Put the number of a displayed formula into it, as a tag."""

    def tagged(match: re.Match[str]) -> str:
        number = book.labels[match["label"]][0].strip("()")
        return f"$${match['body'].rstrip()} \\tag{{{number}}}\n{match['indent']}$$"

    return re.sub(
        r"\$\$(?P<body>(?:(?!\$\$).)*?)\n(?P<indent>[ ]*)\$\$ \((?P<label>[\w-]+)\)",
        tagged,
        text,
        flags=re.S,
    )


def quoted(body: str) -> str:
    """Return text as a block quote."""
    return "\n".join(f"> {line}".rstrip() for line in body.split("\n"))


def details(title: str, body: str) -> str:
    """Return text behind a line that opens it."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{body}\n\n</details>\n"
