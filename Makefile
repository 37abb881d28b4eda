# `make book`, `make check` and `make test` work on a fresh clone with Python 3.11+ and make. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
PINS ?= constraints.txt
WORKERS ?= 2
HTML := _build/html
PDF := _build/transformers-as-odes.pdf

# PY is the interpreter that does the work. Left alone it is the environment made below; set it
# (`make book PY=$$(which python)`) to use an environment of your own, such as conda's.
ifeq ($(origin PY),undefined)
PY := $(VENV)/bin/python
SETUP := $(VENV)/.installed
endif

# A folder with data beside the clone serves offline work.
ifeq ($(origin ODELIB_DATA),undefined)
ifneq ($(wildcard ../shared/data),)
export ODELIB_DATA := $(abspath ../shared/data)
endif
endif

# What the chapters' results depend on besides the chapters: a change here executes all of them again.
RESULTS = constraints.txt $(shell find odelib -name '*.py' -o -name '*.npz' -o -name '*.json*' -o -name '*.safetensors' -o -name 'study.yaml' | LC_ALL=C sort)
# What all pages depend on besides their own text: a change here writes all of them again, from kept results.
LOOKS = _config.yml _toc.yml $(shell find book -type f ! -name '*.ipynb' ! -name '*.md' ! -path '*/.*' ! -name '*.pyc' | LC_ALL=C sort)
key = $(shell cat $(1) | cksum | tr ' ' -)
CHAPTERS = $(sort $(wildcard book/*.ipynb))

.DEFAULT_GOAL := help
.PHONY: help setup fresh book pages notebooks pdf check units test seeds nightly lint types serve execute format address clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

$(VENV)/.installed: pyproject.toml $(PINS)
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and f"This book needs Python 3.11 or newer, and $(PYTHON) is {v}: run make with PYTHON=/path/to/python3.11.")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --constraint $(PINS) --editable '.[book,test]'
	@touch $@

setup: $(SETUP)  ## make .venv and install odelib with all that the book and the tests need

# The cache of executed chapters is keyed by each chapter's own code; the two stamps add what else counts.
fresh:
	@mkdir -p _build
	@stamp=_build/.results-$(call key,$(RESULTS)); test -e $$stamp || { rm -rf _build/.results-* _build/.jupyter_cache _build/.doctrees; touch $$stamp; }
	@stamp=_build/.looks-$(call key,$(LOOKS)); test -e $$stamp || { rm -rf _build/.looks-* _build/.doctrees; touch $$stamp; }

# A failed build forgets what it has read, so that the next one reports the same warnings again.
book: $(SETUP) fresh  ## execute the chapters that changed and build the HTML, warnings being errors
	@$(dir $(PY))jupyter-book build . -W --keep-going --quiet || { rm -rf _build/.doctrees; exit 1; }
	@echo "The book is built. Open file://$(CURDIR)/$(HTML)/index.html or run: make serve"

pages: book notebooks pdf  ## the same, with all that readers download, ready to publish as a static site
	$(PY) book/_extensions/downloads.py $(HTML) $(PDF) _build/notebooks/jupyter.zip _build/notebooks/student.zip
	@touch $(HTML)/.nojekyll

notebooks: $(SETUP)  ## write the chapters as they read well in Colab and Jupyter, and for students
	$(PY) book/_extensions/editions.py _build/notebooks

pdf: book  ## print the whole book as one PDF with an outline and links (needs Chromium)
	$(PY) book/_extensions/paper.py $(HTML) $(PDF)

serve: book  ## build, then serve the book on http://localhost:8000
	$(PY) -m http.server 8000 --bind localhost --directory $(HTML)

lint: $(SETUP)  ## ruff on the library, the tests and the chapters
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(SETUP)  ## mypy, strict on the library, plain on the chapters
	$(PY) -m mypy odelib
	$(PY) -m nbqa mypy --config-file= --ignore-missing-imports --disable-error-code=no-redef \
	    --disable-error-code=var-annotated $(CHAPTERS)

# One thread in each process; tests/conftest.py says what is done in one process, and in which order.
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder

check: lint types units  ## ruff, mypy and the fast tests: what to run while working

units: $(SETUP)
	$(PYTEST) -m 'not slow and not nightly' tests

test: lint types  ## everything: ruff, mypy, nbval over the chapters, the pages in a browser, all tests
	$(PYTEST) tests/book/test_chapters.py
	$(PYTEST) -m 'not nightly' tests --ignore tests/book/test_chapters.py

# The shifts follow from SEED, and so from the day: no author has chosen them.
SHIFTS ?= 3
seeds: $(SETUP)  ## execute the chapters under other seeds; list the claims that fail and the cells that raise
	OMP_NUM_THREADS=1 $(PY) tests/book/seeds.py $(CHAPTERS) --shifts $(SHIFTS) --seed $(SEED) --workers $(WORKERS)

# What takes too long for every change. A new check is one more name here, and a target for it.
NIGHTLY = seeds marked oldest python-3.12 python-3.13 colab
# Other random numbers each day; a failure comes back with the SEED that it names.
SEED ?= $(shell date +%y%m%d)

nightly: $(SETUP)  ## other seeds, mutated and hostile input, the oldest torch, newer Pythons
	@$(MAKE) --keep-going $(addprefix nightly-,$(NIGHTLY))

nightly-seeds: $(SETUP)
	ODELIB_TEST_SEED=$(SEED) $(PYTEST) --hypothesis-seed $(SEED) tests/solvers tests/layers tests/models tests/analysis

nightly-marked: $(SETUP)
	$(PY) -m odelib networks install
	$(PYTEST) -m nightly tests

# Each in an environment of its own, which stays for the next night. PY would be taken in its place, and nothing tested.
OWN = $(if $(SETUP),,$(error the checks of the night make environments of their own: leave PY out))

nightly-oldest: _build/oldest.txt
	@$(OWN)$(MAKE) units VENV=.venv-oldest PINS=$<

_build/oldest.txt: constraints.txt pyproject.toml
	@mkdir -p _build
	@sed -e 's/^torch==.*/torch==2.6.0/' -e 's/^torchvision==.*/torchvision==0.21.0/' $< > $@

python-of = "$$(python$(1) -c 'import sys; print(sys.executable)' 2>/dev/null || ls "$$(pyenv root)"/versions/$(1).*/bin/python | tail -n 1)"

nightly-python-%:
	@$(OWN)$(MAKE) units VENV=.venv-$* PYTHON=$(call python-of,$*)

# Colab's own packages, which colab.txt lists, under Colab's Python; odelib comes by each notebook's first cell.
nightly-colab: $(SETUP)
	@$(OWN)test -x .venv-colab/bin/python || $(call python-of,3.13) -m venv .venv-colab
	@.venv-colab/bin/python -m pip install --quiet --requirement tests/book/colab.txt
	OMP_NUM_THREADS=2 $(PY) tests/book/colab.py .venv-colab/bin/python

execute: $(SETUP)  ## for authors: execute the chapters in place, or one: make execute CHAPTERS=book/...
	$(PY) -m nbconvert --to notebook --inplace --execute --ExecutePreprocessor.timeout=300 \
	    --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False --ClearMetadataPreprocessor.enabled=True \
	    --ClearMetadataPreprocessor.preserve_nb_metadata_mask=kernelspec \
	    --ClearMetadataPreprocessor.preserve_nb_metadata_mask=language_info \
	    --ClearMetadataPreprocessor.preserve_cell_metadata_mask=tags $(CHAPTERS)

format: $(SETUP)  ## for authors: ruff's fixes and formatting
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# `.git` may follow the name, and neither it nor its owner is the end or the beginning of another name. Each pattern is
# there twice, since two copies may share the character between them.
address:  ## write the repository's address everywhere: make address TO=owner/name
	@echo '$(TO)' | grep -qE '^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$$' \
	    || { echo "Say which: make address TO=owner/name, as in https://github.com/owner/name"; exit 2; }
	@old=$$(sed -n 's|^Repository = "https://github.com/\(.*\)"|\1|p' pyproject.toml | sed 's/[.]/[.]/g'); \
	pages="$${old%/*}[.]github[.]io/$${old#*/}"; begin='(^|[^[:alnum:]_.-])'; end='([^[:alnum:]_-]|$$)'; \
	code="s#$$begin$$old$$end#\1$(TO)\2#g"; site="s#$$begin$$pages$$end#\1$(subst /,.github.io/,$(TO))\2#g"; \
	git grep --untracked -lIE "$$begin($$old|$$pages)$$end" | tee /dev/stderr | while read -r file; do \
	    sed -i.old -E -e "$$code" -e "$$code" -e "$$site" -e "$$site" "$$file" && rm "$$file.old"; done

clean:  ## remove what was built (.venv stays)
	rm -rf _build build *.egg-info .pytest_cache .mypy_cache .ruff_cache
