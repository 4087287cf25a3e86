# `make demo` separates the bundled examples; `make test` runs the tests. Both install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.installed

# A constraint in the environment, unlike -c, reaches isolated builds too.
export PIP_CONSTRAINT = $(CURDIR)/constraints.txt
# Idle threads sleep instead of spinning: many times faster beside any other busy process.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: demo test test-slow docs clean

demo: $(READY)
	$(BIN)/ddsp-zoo separate examples/band.flac --model ast_ddsp_all --out out/demo --overwrite
	$(BIN)/ddsp-zoo separate examples/guitar.flac --model exE7 --pitch examples/guitar_f0.csv --out out/demo --overwrite
	$(BIN)/ddsp-zoo separate examples/choir.flac --model umss_4v --out out/demo --overwrite
	$(BIN)/ddsp-zoo render out/demo/band --edit examples/edits/band.yaml --out out/demo/band_octave --overwrite
	$(BIN)/ddsp-zoo render out/demo/guitar --edit examples/edits/guitar.yaml --sound filtered --out out/demo/guitar_damped --overwrite
	$(BIN)/ddsp-zoo render out/demo/choir --edit examples/edits/choir.yaml --sound filtered --out out/demo/choir_alto --overwrite
	@echo
	@echo "a band     out/demo/band/bass.wav, drums.wav, guitar.wav   the rest: residual.wav   controls: controls.npz"
	@echo "six strings  out/demo/guitar/E2.wav …   synthesised/: the same sources as the synthesiser plays them"
	@echo "four voices  out/demo/choir/soprano.wav …   their pitch was found in the mixture: controls.npz"
	@echo
	@echo "and edited: mixture.wav of each is the whole example again, controls.npz and notes.mid are those of the edit"
	@echo "bass an octave up  out/demo/band_octave/mixture.wav      clearest alone: bass.wav, beside band/synthesised/bass.wav"
	@echo "one string damped  out/demo/guitar_damped/mixture.wav    D3, from 0.8 s on: D3.wav, beside guitar/D3.wav"
	@echo "alto louder, 6 dB  out/demo/choir_alto/mixture.wav       the second voice from above, from 0.9 s on"
	@echo
	@echo "pictures   overview.png in out/demo/band, out/demo/guitar and out/demo/choir"

test: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

docs: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	$(BIN)/python -m mkdocs build --strict
	@echo "the pages: site/index.html"

clean:
	rm -rf $(VENV)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $(READY)
