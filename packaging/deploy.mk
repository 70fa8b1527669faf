# The root Makefile's targets for deploying, and for what a deployment is checked with.

# An environment of samconfig.toml. Not taken from the shell's own variables, where many have an
# ENV that means something else.
ifneq ($(origin ENV),command line)
ENV := default
endif
# Parameters over those that it has: "Name=value …".
PARAMETERS ?=
HOST_ARCH := $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
DEPLOY = $(IN_CALLERS_REGION) $(BIN)/python -P -m parley_deploy --build $(BUILD_DIR) \
	--env $(ENV) --architecture $(ARCH)
SAM_LOCAL_DIR ?= .aws-sam/local
# With FUNCTION=Sessions EVENT=events/sessions/check-health.json: one call instead of the whole API.
FUNCTION ?=
EVENT ?=

.PHONY: deploy check-deploy delete sam-local checkov cfn-lint

deploy: .venv/.test ## Build and deploy (DATABASE_SECRET_ARN=… OPENAI_SECRET_ARN=… ENV=default)
	@$(DEPLOY) --check $(PARAMETERS)
	@$(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) build
	@$(DEPLOY) $(PARAMETERS)

check-deploy: .venv/.test ## Try what a deployment needs, before a stack is made: secrets, database, issuer
	@$(DEPLOY) --try $(PARAMETERS)

delete: .venv/.test ## Take a deployment down; its memory table and users stay (ENV=default)
	@$(DEPLOY) --delete

sam-local: .venv/.test ## The API in Lambda's containers, for who has Docker (PORT, DATA_DIR)
	@$(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) build ARCH=$(HOST_ARCH) \
		BUILD_DIR=$(SAM_LOCAL_DIR)
	@exec $(BIN)/python -m parley_local.sam_local --build $(SAM_LOCAL_DIR) --port $(PORT) \
		--data-dir $(DATA_DIR) $(if $(FUNCTION),--invoke $(FUNCTION)) $(if $(EVENT),--event $(EVENT))

# All that `sam validate --lint` does is cfn-lint, of one template in one region.
cfn-lint: .venv/.test ## What CloudFormation will say of the two templates
	$(BIN)/cfn-lint --regions eu-west-1 us-east-1 --template template.yaml monitoring.yaml

checkov: .venv/checkov/.installed ## What a security review will say of it, offline
	.venv/checkov/bin/checkov --file template.yaml monitoring.yaml --framework cloudformation --skip-download \
		--compact --quiet

# In an environment of its own: it asks for a boto3 that is too old for the rest.
.venv/checkov/.installed: packaging/checkov.txt .venv/.test
	@$(BIN)/uv venv --quiet --no-project --clear --python $(BIN)/python .venv/checkov
	@$(BIN)/uv pip install --quiet --python .venv/checkov --requirements packaging/checkov.txt
	@touch $@
