# make run   the default campaign (CONFIG=overlay.yaml for another, CORES=n to use fewer cores; OPTIONS for Snakemake)
# make test  what a change should pass, in ten minutes on two cores: units, dry runs, a real campaign and its report
# make test-all  these, and what takes longer: faults, SLURM, both papers in miniature, many more random inputs
# make paper NAME=iesari2021 (or timoshenko2018): a paper's campaign and its page in docs/papers
# make docs  the documentation as a site: open site/index.html
# make lint  style of code and workflow, the documentation's links
# make wheel  the wheel in dist/; make try-wheel ENSEMBLE=folder installs it into an empty environment and uses it there
# All set up .venv first, from the pins in envs/constraints.txt.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= all
CONFIG ?=
OPTIONS ?=
# older ones resolve the same pins several times slower
PIP := 26.3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
export OMP_NUM_THREADS ?= 1

.PHONY: run paper test test-rest test-all docs lint wheel try-wheel environment constraints clean-environment

# The plan checks what a job would stumble over; Snakemake prints it.
run: environment
	@$(BIN)/nnexafs plan $(CONFIG) > /dev/null
	@$(BIN)/snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG)) $(OPTIONS)

paper: environment
	@$(MAKE) --no-print-directory run CONFIG=config/campaigns/$(NAME)-desk.yaml
	@$(BIN)/nnexafs paper results/$(NAME)-desk --name $(NAME)

test: environment
	$(PYTEST) --numprocesses 2 -m "not (faults or slurm or slow)" --hypothesis-profile quick

# What `make test` leaves out; random inputs again, with all of their examples.
# Three processes: the one that has SLURM waits for it most of the time.
test-rest: environment
	$(PYTEST) --numprocesses 3 -m "faults or slurm or slow or fuzz"

# Both in a folder of their own, so that the second finds the campaign that the first has made.
test-all: environment
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && NNEXAFS_TEST_FOLDER="$$folder" $(MAKE) test test-rest

# Broken links, also to headings, and pages that the menu lacks are errors (not with --quiet, which hides them from
# --strict). The variable silences an advertisement.
docs: environment
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: environment docs
	$(BIN)/ruff check workflow tests benchmarks docs
	$(BIN)/ruff format --check workflow tests benchmarks docs
	$(BIN)/mypy workflow/nnexafs workflow/snakemake_logger_plugin_nnexafs
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

# Without leftovers of an earlier build, which setuptools would put into the wheel.
wheel: environment
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build
	@ls dist

ENSEMBLE ?= results/nickel/ensemble
try-wheel: wheel
	PYTHON=$(PYTHON) PIP=$(PIP) envs/try_wheel.sh $(ENSEMBLE)

environment: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml envs/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || \
	  { echo "nnexafs needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian: apt install python3-venv"; exit 2; }
	@echo "setting up $(VENV): about 4 GB, a few minutes, once"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==$(PIP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint envs/constraints.txt --editable '.[campaign,docs,test]'
	$(BIN)/python -m nnexafs.exafs.nbody.compilation
	touch $@

# After a change of the ranges: resolves them in a fresh environment and writes the whole set of pins.
constraints:
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==$(PIP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[campaign,docs,test]'
	$(BIN)/python -m pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//' > envs/constraints.txt

clean-environment:
	rm -rf $(VENV)
