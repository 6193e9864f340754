# The commands of the stack. Each is a script in bin/, so that this file stays a table of contents.
# Settings are given on the command line (make up API_PORT=0), in the environment, or in .env. APP names the folder of an
# application, inside the repository or not: make up APP=apps/seed

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# Variables given on the command line reach the scripts as environment variables. make itself prints nothing of its own.
MAKEFLAGS += --no-print-directory

##@ The stack

.PHONY: up
up: ## Start the stack with an application, setting up whatever this machine lacks (use APP=path)
	@bin/up

.PHONY: down
down: ## Stop the stack; jobs and documents are kept
	@bin/down

.PHONY: reset
reset: ## Stop the stack and delete its jobs and documents
	@bin/reset

.PHONY: logs
logs: ## Follow the logs (use S=worker for one service)
	@bin/logs $(S)

.PHONY: status
status: ## Show what runs, where, which application it is, and which server holds the jobs
	@bin/status

.PHONY: submit
submit: ## Send the application's example and follow it to the end (use B='{"field":"value"}' to change it)
	@bin/submit

.PHONY: token
token: ## Print a token for the HTTP API with AUTH=on (use WHO=you SCOPE="a b" HOURS=1)
	@WHO='$(WHO)' SCOPE='$(SCOPE)' HOURS='$(HOURS)' bin/token

.PHONY: credentials
credentials: ## Print AWS access key and addresses for a shell: eval "$(make -s credentials)"
	@bin/credentials

.PHONY: backup
backup: ## Copy the state of the running stack into a file (use F=file.tar; ANYWAY=1 if a service is not healthy)
	@F='$(F)' ANYWAY='$(ANYWAY)' bin/backup

.PHONY: restore
restore: ## Put a backup into this stack, which must be empty, and start it (use F=file.tar)
	@F='$(F)' bin/restore

.PHONY: doctor
doctor: ## Check this machine without changing anything
	@bin/doctor

##@ Tests

.PHONY: test
test: ## Run the unit tests inside the images (use APP=path for one application, T=server|library|… for one image)
	@bin/test $(T)

.PHONY: itest
itest: ## Run the integration tests on copies of the stack (use APP=path for one application, T=… for some)
	@bin/itest $(T)

.PHONY: chaos
chaos: ## Break everything on purpose and count what is lost; writes docs/chaos.md (35 min; use T=… for some)
	@bin/chaos $(T)

.PHONY: soak
soak: ## Run steady load and look for what grows (30 min; use SOAK_MINUTES=10)
	@bin/soak

.PHONY: fuzz
fuzz: ## Send damaged requests and documents to every door (use N=20000 DOCUMENTS=2000 SEED=1)
	@N='$(N)' DOCUMENTS='$(DOCUMENTS)' SEED='$(SEED)' bin/fuzz

.PHONY: conformance
conformance: ## Run the wire tests of a Resonate server (use RESONATE_URL=http://… for one of yours)
	@bin/conformance $(T)

.PHONY: check
check: ## Check format, lint, types, shell and Dockerfiles (use APP=path for one application)
	@bin/check

.PHONY: bench
bench: ## Run the benchmarks (use B=name for one)
	@bin/bench $(B)

##@ To AWS

.PHONY: package
package: ## Make an application's packages, templates and images for AWS, for x86_64 and arm64 (use APP=path)
	@bin/package

##@ Housekeeping

.PHONY: audit
audit: ## Ask the vulnerability databases about every locked dependency
	@bin/audit

.PHONY: sbom
sbom: ## Write what is in each image, with its licence, to dist/sbom (use APP=path)
	@bin/sbom

.PHONY: format
format: ## Format the Python code
	@bin/format

.PHONY: lock
lock: ## Resolve the lock files of the stack again, or those of one application (use APP=path UPGRADE=1)
	@bin/lock

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
