# The rules of a distribution in January 2023; `lay_out` adds a line for each package.
ARCH := $(shell uname -m)
SOURCE_DATE_EPOCH ?= 0
MELANGE ?= ${MELANGE_DIR}/melange
PIPELINES ?= ${MELANGE_DIR}/pipelines
KEY ?= local-melange.rsa
REPO ?= $(shell pwd)/packages
CACHE_DIR ?= gs://example-sources/

MELANGE_OPTS += --repository-append ${REPO}
MELANGE_OPTS += --keyring-append ${KEY}.pub
MELANGE_OPTS += --signing-key ${KEY}
MELANGE_OPTS += --pipeline-dir ${PIPELINES}
MELANGE_OPTS += --arch ${ARCH}
MELANGE_OPTS += --env-file build-${ARCH}.env
MELANGE_OPTS += --cache-dir ${CACHE_DIR}
MELANGE_OPTS += --namespace wolfi
MELANGE_OPTS += ${MELANGE_EXTRA_OPTS}

all: ${KEY} .build-packages

${KEY}:
	${MELANGE} keygen ${KEY}

# build-package,NAME,VERSION-rEPOCH[,SOURCEDIR]
define build-package
.build-packages: packages/$(1)
packages/$(1): packages/${ARCH}/$(1)-$(2).apk
packages/${ARCH}/$(1)-$(2).apk: ${KEY}
	mkdir -p ./$(or $(3),$(1))/
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} ${MELANGE} build $(1).yaml ${MELANGE_OPTS} --source-dir ./$(or $(3),$(1))/
endef

.PHONY: all .build-packages

