# make          build .venv with everything pinned
# make slurm    add the executor for SLURM clusters (its import slows every start and needs `which` in PATH)
# make demo     the study in config.yaml, from nothing to its table and report
# make bench    speed and memory beside transformers.Trainer, half an hour; benchmarks/README.md
# make test     format, lint, types and all tests of a submission; make test-long runs the rest
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: all slurm demo test check unit workflow end-to-end test-long bench docs clean

all: $(STAMP)

$(STAMP): pyproject.toml envs/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e '.[dev]'
	touch $@

slurm: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e '.[slurm]'

demo: $(STAMP)
	$(BIN)/isthmus run config.yaml

test: check unit workflow end-to-end

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/pytest -q -n 2 tests/unit tests/studies

workflow: $(STAMP)
	$(BIN)/pytest -q -n 2 tests/workflow tests/faults tests/golden

end-to-end: $(STAMP)
	$(BIN)/pytest -q tests/end_to_end

test-long: $(STAMP)
	$(BIN)/pytest -q -m long tests

bench: $(STAMP)
	$(BIN)/python -m benchmarks

docs: $(STAMP)
	$(BIN)/python -m isthmus.study.docs

clean:
	rm -rf .venv build .snakemake
