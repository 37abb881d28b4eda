"""The bibliography: complete entries that can be found, in order, and with every work that the library names."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from pybtex.database import parse_string

ROOT = Path(__file__).parents[2]
BIBLIOGRAPHY = ROOT / "book/references.bib"
ARXIV = r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}"
DOI = r"10\.\d{4,}/\S+"
VENUE = {"article": "journal", "inproceedings": "booktitle", "incollection": "booktitle", "book": "publisher"}


def faults(text):
    """Return what a bibliography lacks, a sentence for each."""
    entries = parse_string(text, "bibtex").entries
    keys = list(entries)
    found = [f"{b} stands after {a}" for a, b in pairwise(keys) if a > b]
    for key, entry in entries.items():
        fields = {name.lower(): value for name, value in entry.fields.items()}
        wanted = {"title", "year", VENUE.get(entry.type, "title")}
        found += [f"{key} has no {name}" for name in sorted(wanted - set(fields))]
        if not entry.persons.get("author"):
            found.append(f"{key} has no author")
        if not {"doi", "eprint", "url"} & set(fields):
            found.append(f"{key} has no doi, no eprint (its arXiv number) and no url of its publisher")
        if "doi" in fields and not re.fullmatch(DOI, fields["doi"]):
            found.append(f"{key} has the doi {fields['doi']!r}: give what follows https://doi.org/")
        if "eprint" in fields and not re.fullmatch(ARXIV, fields["eprint"]):
            found.append(f"{key} has the eprint {fields['eprint']!r}: give the arXiv number, as 1806.07366")
        if not re.match(r"https://(?!(dx\.)?doi\.org|arxiv\.org)", fields.get("url", "https://")):
            found.append(f"{key} has the url {fields['url']}: give https, or a doi, or the arXiv number as eprint")
    for name in ("doi", "eprint", "title"):
        values = Counter(re.sub(r"\W", "", entry.fields.get(name, "").lower()) for entry in entries.values())
        found += [f"{count} entries have the {name} {value}" for value, count in values.items() if value and count > 1]
    return found


def test_every_entry_can_be_found_and_stands_in_order():
    assert faults(BIBLIOGRAPHY.read_text()) == []


GOOD = """@article{a2001, author = {A}, title = {T}, journal = {J}, year = {2001}, doi = {10.1000/182}}

@misc{b2002, author = {B}, title = {U}, year = {2002}, eprint = {2002.01234}}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("doi = {10.1000/182}", "", "a2001 has no doi"),
        ("doi = {10.1000/182}", "doi = {https://doi.org/10.1000/182}", "give what follows"),
        ("doi = {10.1000/182}", "url = {https://doi.org/10.1000/182}", "give https, or a doi"),
        ("eprint = {2002.01234}", "url = {https://arxiv.org/abs/2002.01234}", "the arXiv number as eprint"),
        ("eprint = {2002.01234}", "eprint = {arXiv:2002.01234}", "give the arXiv number"),
        ("eprint = {2002.01234}", "url = {http://b.org}", "give https"),
        ("eprint = {2002.01234}", "doi = {10.1000/182}", "2 entries have the doi"),
        ("title = {U}", "title = {{T}}", "2 entries have the title"),
        ("journal = {J}, ", "", "a2001 has no journal"),
        ("author = {B}, ", "", "b2002 has no author"),
        ("b2002", "A2002", "A2002 stands after a2001"),
    ],
)
def test_a_fault_is_named(right, wrong, fault):
    assert faults(GOOD) == []
    (found,) = faults(GOOD.replace(right, wrong))
    assert fault in found


def test_every_work_that_the_library_names_by_number_is_in_it():
    text = "\n".join(path.read_text() for path in sorted((ROOT / "odelib").rglob("*.py")))
    dois = [doi.rstrip('.,;:")') for doi in re.findall(rf"doi[: ]({DOI})", text)]
    named = {*dois, *re.findall(rf"arXiv[: ]({ARXIV})", text)}
    assert len(named) > 30
    fields = [entry.fields for entry in parse_string(BIBLIOGRAPHY.read_text(), "bibtex").entries.values()]
    assert named - {value for field in fields for value in (field.get("doi"), field.get("eprint"))} == set()
