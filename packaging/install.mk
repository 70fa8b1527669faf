# What the Makefiles of functions and layers share. SAM runs them in a temporary copy of their
# folder, where neither uv.lock nor .venv is: everything is found from where this file lies.
#
#   ARTIFACTS_DIR   where SAM wants the package
#   ARCH            arm64 (default) or x86_64: must be the template's Architecture
#   PARLEY_BUILDER  the Python that builds; the checkout's if not given
#   PARLEY_PROJECT  the project's pyproject.toml; Parley's own if not given
#   PARLEY_PYTHON   3.13 (default), or another version for running the package on this machine

ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
# Not named PYTHON, which `make build PYTHON=…` hands down to here.
BUILDER := $(or $(PARLEY_BUILDER),$(ROOT)/.venv/bin/python)

# -P, since the folder that SAM copied is not a place to import from.
package = "$(BUILDER)" -P -m parley_packages.install \
	--into "$(ARTIFACTS_DIR)"

ifeq ($(wildcard $(BUILDER)),)
$(error There is no $(BUILDER): run "make build", which makes it)
endif
ifeq ($(ARTIFACTS_DIR),)
$(error SAM runs this with ARTIFACTS_DIR: run "make build")
endif
