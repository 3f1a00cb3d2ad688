PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The workers and the programs that they start compile the project once, and not each time.
TEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4

.DEFAULT_GOAL := help
TERRAFORM_CHECK ?= ../shared/terraform/check
.PHONY: help setup requirements audit console run demo test test-all test-pgbouncer check format documents clean package secrets terraform-check topology rehearse lint-contract lint-console format-console generated-clients schemathesis simulate fuzz chaos soak bench conformance release deploy smoke-test migrate archive destroy

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv in the project and install everything for running and testing

$(STAMP): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; $(PYTHON) is " + sys.version.split()[0] + ". Name another: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

LISTS := $(patsubst %.in,%.txt,$(wildcard requirements.in functions/*/requirements.in bridge/requirements.in))
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras

requirements: $(STAMP) ## Pin the direct dependencies of requirements*.in with all that they need and their hashes
	@$(LOCK) $(ARGS) -o requirements-dev.txt requirements-dev.in
	@for list in $(LISTS); do $(LOCK) -c requirements-dev.txt -o $$list $${list%.txt}.in || exit 1; done
	@for list in console tests/contract; do $(LOCK) $(ARGS) -o $$list/requirements.txt $$list/requirements.in || exit 1; done

audit: $(STAMP) ## Look for known vulnerabilities of the pinned packages in PyPI's database
	@$(BIN)/python .ci/audit.py

demo: $(STAMP) ## Play a technician's shift against a local cloud and check each step
	@$(BIN)/python -m local demo $(ARGS)

console: $(STAMP) ## Fetch the console's third-party files into console/vendor, with npm
	@$(BIN)/python -m console.fetch

run: $(STAMP) ## Run the local cloud at http://127.0.0.1:8080 until Ctrl-C; options: make run ARGS="--cabinets 3"
	@$(BIN)/python -m console.fetch --optional
	@$(BIN)/python -m local up $(ARGS)

test: $(STAMP) ## Run the tests but the slow ones; one folder: .venv/bin/python -m pytest tests/unit
	@$(BIN)/python -m console.fetch --optional
	@$(TEST) -m "not slow" $(ARGS)

test-all: $(STAMP) ## Run all tests, as CI does
	@$(BIN)/python -m console.fetch --optional
	@$(TEST) $(ARGS)

check: $(STAMP) ## Check style, types, layers and generated documents, as CI does besides the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m local documents --check

format: $(STAMP) ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

documents: $(STAMP) ## Regenerate docs/openapi.json, docs/asyncapi.json and the generated sections of pages
	$(BIN)/python -m local documents

package: $(STAMP) ## Build dist/: one zip for each function, one for the bridge, the console's files
	@$(BIN)/python -m terraform.package
	@$(BIN)/python -m console.build

secrets: ## Create the deployment's secrets and the broker's CA, unless they exist
	@if [ -e terraform/secrets.tar.age ] && [ ! -e terraform/.secrets ]; then \
	  echo "the secrets are sealed: run terraform/sealed_secrets open IDENTITY first" >&2; exit 1; fi
	@$(PYTHON) terraform/secret_files.py
	@test -e terraform/broker/pki/ca.key || terraform/broker/certificates authority

terraform-check: export TF_VAR_cloud_id := none
terraform-check: export TF_VAR_folder_id := none
terraform-check: export TF_VAR_apply_migrations := false
terraform-check: export TF_VAR_publish_console := false
terraform-check: export TF_VAR_grant_log_role := false
terraform-check: export TF_VAR_deletion_protection := false
terraform-check: package secrets ## Check terraform/ against the provider's schemas
	@if [ ! -x "$(TERRAFORM_CHECK)" ]; then \
	  echo "skipped: $(TERRAFORM_CHECK) is not here; set TERRAFORM_CHECK=PATH, or run terraform plan"; exit 0; fi; \
	$(TERRAFORM_CHECK) terraform && for script in leaving_iot_core external_broker; do $(TERRAFORM_CHECK) terraform -- python3 tests/$$script.py || exit 1; done

REHEARSAL ?= .local/rehearsal

topology: $(STAMP)
	@if [ ! -x "$(TERRAFORM_CHECK)" ]; then \
	  echo "skipped: $(TERRAFORM_CHECK) is not here; to rehearse your own Terraform state: docs/deploying.md"; exit 0; fi; \
	rm -rf $(REHEARSAL) && mkdir -p $(REHEARSAL) && \
	TF_VAR_cloud_id=none TF_VAR_folder_id=none TF_VAR_apply_migrations=false TF_VAR_publish_console=false TF_VAR_grant_log_role=false TF_VAR_unlock_wait_seconds=2 TF_VAR_runner_account=false \
	  $(TERRAFORM_CHECK) terraform -- sh -euc '{ (cd ..; $(abspath $(BIN))/python -m terraform.package; $(abspath $(BIN))/python -m console.build); python3 secret_files.py; \
	    test -e broker/pki/ca.key || broker/certificates authority; terraform apply -auto-approve -no-color; } >apply.log 2>&1 || { cat apply.log >&2; exit 1; }; \
	    cp -r ../dist $(abspath $(REHEARSAL))/packages; terraform show -json >$(abspath $(REHEARSAL))/topology.json'

rehearse: $(STAMP) ## Deploy to a fake cloud on this machine, run what was deployed, play the demo, destroy
	@code=0; $(BIN)/python -m local rehearse $(ARGS) || code=$$?; \
	if [ $$code != 3 ] || [ ! -x "$(TERRAFORM_CHECK)" ]; then exit $$(( code == 3 ? 0 : code )); fi; \
	echo "with the stand-in of $(TERRAFORM_CHECK) instead:"; $(MAKE) --silent topology && \
	$(BIN)/python -m local rehearse --topology $(REHEARSAL)/topology.json --packages $(REHEARSAL)/packages

simulate: $(STAMP) ## Run random cases of the deterministic simulation: make simulate SEEDS=10000
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000)

lint-contract: $(STAMP) ## Lint docs/openapi.json and docs/asyncapi.json with Spectral and Redocly; needs node and npm
	@$(BIN)/python -m tests.contract lint

lint-console: $(STAMP) ## Check the console's types, style and format with TypeScript and Biome; needs node and npm
	@$(BIN)/python -m tests.contract console

format-console: $(STAMP) ## Format the console's files with Biome, and fix what it can fix; needs node and npm
	@$(BIN)/python -m tests.contract format-console

generated-clients: $(STAMP) ## Run a shift with generated Python and TypeScript clients; needs node and npm
	@$(BIN)/python -m tests.contract clients

schemathesis: $(STAMP) ## Send requests generated from docs/openapi.json to a local cloud: make schemathesis SECONDS=600
	@CAMPAIGN_SECONDS=$(or $(SECONDS),60) $(BIN)/python -m pytest -q tests/campaign/test_document.py

fuzz: $(STAMP) ## Feed random messages to the decoder and the trigger: make fuzz SECONDS=600
	@$(BIN)/python -m tests.campaign.fuzz --seconds $(or $(SECONDS),60)

soak: $(STAMP) ## Load a local cloud of 1,000 cabinets for hours: make soak MINUTES=60
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) $(ARGS)

chaos: $(STAMP) ## Kill parts of a local cloud under load: make chaos MINUTES=60 SEED=7
	@$(BIN)/python -m tests.faults --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

test-pgbouncer: $(STAMP) ## Run the integration and end-to-end tests through PgBouncer
	@$(BIN)/python -m pytest -n 2 --pgbouncer tests/integration tests/e2e $(ARGS)

bench: $(STAMP) ## Measure performance and update docs/performance.md: make bench NAMES="booking ingest"
	@$(BIN)/python -m benchmarks $(NAMES) $(ARGS)

conformance: $(STAMP) ## Test a cabinet's firmware: make conformance ARGS="--cells 12 --host 0.0.0.0"
	@$(BIN)/python -m tools conformance $(ARGS)

release: ## Check, set the version, commit and tag: make release VERSION=1.2.3
	@$(PYTHON) .ci/release.py "$(VERSION)" $(if $(SKIP_TESTS),--skip-tests)

deploy: package secrets ## Build, plan, confirm, apply with migrations, then run the smoke test
	@terraform -chdir=terraform init -input=false
	@terraform -chdir=terraform plan -out=deploy.tfplan
	@trap 'rm -f terraform/deploy.tfplan' EXIT; printf 'Apply this? [yes] '; read answer; \
	  [ "$$answer" = yes ] && terraform -chdir=terraform apply deploy.tfplan
	@$(MAKE) smoke-test

smoke-test: ## Check the deployed service from outside
	@$(PYTHON) terraform/smoke_test.py "$$(terraform -chdir=terraform output -raw api_url)"

migrate: ## Apply missing migrations to the deployed database
	@$(PYTHON) terraform/migrate.py "$$(terraform -chdir=terraform output -json function_ids | $(PYTHON) -c 'import json,sys; print(json.load(sys.stdin)["migrate"])')"

archive: ## Archive the ledger's months before one: make archive BEFORE=2025-11; load one: make archive RESTORE=2025-10
	@$(PYTHON) terraform/migrate.py "$$(terraform -chdir=terraform output -json function_ids | $(PYTHON) -c 'import json,sys; print(json.load(sys.stdin)["migrate"])')" \
	  $(if $(RESTORE),--restore "$(RESTORE)",--archive "$(BEFORE)")

destroy: ## Delete the whole deployment; deletion_protection must be false
	@terraform -chdir=terraform destroy

clean: ## Delete the local cloud's data and all caches, but not .venv
	rm -rf .local .contract .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* htmlcov
