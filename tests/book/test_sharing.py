"""What a link to the book shows elsewhere, and that the doors of the site lead in."""

import re
import struct
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book/_extensions"))
sharing = import_module("sharing")
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
BASE = CONFIG["html"]["baseurl"]


def meta(page):
    return dict(re.findall(r'<meta (?:property|name)="([\w:]+)" content="([^"]*)"', page))


def test_the_address_of_the_pages_is_the_repository_s():
    owner, name = CONFIG["repository"]["url"].split("/")[-2:]
    assert f"https://{owner}.github.io/{name}/" == BASE == CONFIG["sphinx"]["config"]["ogp_site_url"]


def test_a_shared_page_has_title_description_address_and_picture(html, page_name):
    page = (html / f"{page_name}.html").read_text()
    tags = meta(page)
    title = re.search(r"<title>(.*?)</title>", page, re.S)[1]
    assert title.count(CONFIG["title"]) == 1
    assert tags["og:title"] in title
    assert tags["description"] == tags["og:description"] != ""
    assert "\\" not in tags["description"]  # no formula as it is written
    assert tags["twitter:card"] == "summary_large_image"
    assert f'<link rel="canonical" href="{tags["og:url"]}" />' in page
    assert tags["og:url"] == f"{BASE}{page_name}.html"
    picture = (html / tags["og:image"].removeprefix(BASE)).read_bytes()
    assert struct.unpack(">II", picture[16:24]) >= (1000, 500)


@pytest.mark.parametrize("old", CONFIG["sphinx"]["config"]["redirects"])
def test_an_old_address_has_a_title_and_leads_on(html, old):
    page, new = (html / f"{old}.html").read_text(), CONFIG["sphinx"]["config"]["redirects"][old]
    assert f"<title>This chapter has moved \u2013 {CONFIG['title']}</title>" in page
    assert '<html lang="en">' in page
    assert re.findall(r'href="([^"]*)"', page) == [new, new]
    assert (html / "book" / new).exists()


def test_a_chapter_is_described_by_its_question(html):
    asked = sharing.questions((ROOT / "book/index.md").read_text())
    assert len(asked) == len(list((ROOT / "book").glob("*.ipynb")))
    for chapter, question in asked.items():
        assert meta((html / f"book/{chapter}.html").read_text())["description"] == question


def test_the_root_is_the_front_page_and_every_address_on_it_exists(html):
    root = (html / "index.html").read_text()
    assert f"<title>{CONFIG['title']}</title>" in root
    assert "http-equiv" not in root.lower()
    there = re.sub(r'<p class="downloads" hidden>.*?</p>', "", root, flags=re.S)  # not before they are made
    links = re.findall(r'\s(?:href|src)="(?!https?:|#|data:|mailto:)([^"?#]+)', there)
    assert len(links) > 50
    assert [link for link in links if not (html / link).exists()] == []


def test_a_wrong_address_leads_back(html):
    page = (html / "404.html").read_text()
    path = "/" + BASE.split("/", 3)[3]
    assert "<title>Page not found" in page
    links = re.findall(r'(?:href|action)="([^"]*)"', page)
    assert all(link.startswith(path) and (html / link.removeprefix(path)).exists() for link in links)


def test_addresses_move_with_a_page():
    page = '<a href="../x/a.html#b"><a href="c.html"><a href="#d"><a href="https://e.f"><p data-content_root="../">'
    moved = '<a href="x/a.html#b"><a href="book/c.html"><a href="#d"><a href="https://e.f"><p data-content_root="./">'
    assert sharing.moved(page, "book") == moved
