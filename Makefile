PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
TERRAFORM_CHECK ?= ../shared/terraform/check
.PHONY: help setup run demo test test-pgbouncer check format documents clean package secrets terraform-check topology rehearse simulate fuzz chaos soak bench deploy smoke-test migrate destroy

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv in the project with everything that running and testing need

$(STAMP): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; $(PYTHON) is " + sys.version.split()[0] + ". Name another: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(STAMP) ## A technician's shift against a whole local cloud, each step checked
	@$(BIN)/python -m local demo $(ARGS)

run: $(STAMP) ## The whole cloud on this machine; Ctrl-C stops it
	@$(BIN)/python -m local up $(ARGS)

test: $(STAMP) ## All tests: unit, integration, end to end
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(STAMP) ## What CI checks besides the tests: style, types, layers, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m local documents --check

format: $(STAMP) ## Format the code and mend what can be mended mechanically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

documents: $(STAMP) ## Write docs/openapi.json and docs/asyncapi.json anew
	$(BIN)/python -m local documents

package: $(STAMP) ## Build dist/: a zip for each function, and the bridge's
	@$(BIN)/python terraform/package.py

secrets: ## Make the deployment's secrets and the broker's CA where they are missing
	@$(PYTHON) terraform/secret_files.py
	@test -e terraform/broker/pki/ca.key || terraform/broker/certificates authority

terraform-check: package secrets ## Check terraform/ against the provider's schemas, for both backends
	@if [ ! -x "$(TERRAFORM_CHECK)" ]; then \
	  echo "skipped: $(TERRAFORM_CHECK) is not here; TERRAFORM_CHECK=... names it, terraform plan is the real thing"; exit 0; fi; \
	for backend in mosquitto iot_core; do \
	  echo "backend $$backend"; \
	  TF_VAR_mqtt_backend=$$backend TF_VAR_cloud_id=none TF_VAR_folder_id=none TF_VAR_apply_migrations=false \
	  TF_VAR_deletion_protection=false $(TERRAFORM_CHECK) terraform || exit 1; done

REHEARSAL ?= .local/rehearsal

topology: $(STAMP)
	@if [ ! -x "$(TERRAFORM_CHECK)" ]; then \
	  echo "skipped: $(TERRAFORM_CHECK) is not here; rehearse a state of yours: docs/deploying.md"; exit 0; fi; \
	rm -rf $(REHEARSAL) && mkdir -p $(REHEARSAL) && \
	TF_VAR_cloud_id=none TF_VAR_folder_id=none TF_VAR_apply_migrations=false TF_VAR_unlock_wait_seconds=2 \
	  $(TERRAFORM_CHECK) terraform -- sh -euc '{ $(abspath $(BIN))/python package.py; python3 secret_files.py; \
	    test -e broker/pki/ca.key || broker/certificates authority; terraform apply -auto-approve -no-color; } >apply.log 2>&1 || { cat apply.log >&2; exit 1; }; \
	    cp -r ../dist $(abspath $(REHEARSAL))/packages; terraform show -json >$(abspath $(REHEARSAL))/topology.json'

rehearse: topology ## Run here what Terraform applied, and play the demo's story through it
	@if [ -e $(REHEARSAL)/topology.json ]; then \
	  $(BIN)/python -m local rehearse --topology $(REHEARSAL)/topology.json --packages $(REHEARSAL)/packages; fi

simulate: $(STAMP) ## Many random runs of the deterministic simulation: make simulate SEEDS=10000
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000)

fuzz: $(STAMP) ## Random messages for the decoder and the trigger: make fuzz SECONDS=600
	@$(BIN)/python -m tests.campaign.fuzz --seconds $(or $(SECONDS),60)

soak: $(STAMP) ## Hours of load on a local cloud with a thousand cabinets: make soak MINUTES=60
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) $(ARGS)

chaos: $(STAMP) ## Kill parts of a local cloud under load: make chaos MINUTES=60 SEED=7
	@$(BIN)/python -m tests.faults --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

test-pgbouncer: $(STAMP) ## The integration and end-to-end tests, PostgreSQL behind PgBouncer
	@$(BIN)/python -m pytest -n 2 --pgbouncer tests/integration tests/e2e $(ARGS)

bench: $(STAMP) ## Measure beside floors and peers; writes docs/performance.md: make bench NAMES="booking ingest"
	@$(BIN)/python -m benchmarks $(NAMES) $(ARGS)

deploy: package secrets ## Package, plan, ask, apply with migrations, test what is deployed
	@terraform -chdir=terraform init -input=false
	@terraform -chdir=terraform plan -out=deploy.tfplan
	@trap 'rm -f terraform/deploy.tfplan' EXIT; printf 'Apply this? [yes] '; read answer; \
	  [ "$$answer" = yes ] && terraform -chdir=terraform apply deploy.tfplan
	@$(MAKE) smoke-test

smoke-test: ## Check the deployed service from outside
	@$(PYTHON) terraform/smoke_test.py "$$(terraform -chdir=terraform output -raw api_url)"

migrate: ## Invoke the deployed migrate function
	@$(PYTHON) terraform/migrate.py "$$(terraform -chdir=terraform output -json function_ids | $(PYTHON) -c 'import json,sys; print(json.load(sys.stdin)["migrate"])')"

destroy: ## Take everything down; deletion_protection must be false
	@terraform -chdir=terraform destroy

clean: ## Remove the local cloud's data and all caches; .venv stays
	rm -rf .local .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* htmlcov
