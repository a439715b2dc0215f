# These are the rules of a distribution in January 2023: one line for each package, in build order.
ARCH := $(shell uname -m)
SOURCE_DATE_EPOCH ?= 0
MELANGE_DIR ?= ../melange
MELANGE ?= ${MELANGE_DIR}/melange
KEY ?= local-melange.rsa
REPO ?= $(shell pwd)/packages
CACHE_DIR ?= gs://example-sources/
BUILDWORLD ?= no
PUBLIC_REPOSITORY ?= https://packages.example.org/os

MELANGE_OPTS += --repository-append ${REPO}
MELANGE_OPTS += --keyring-append ${KEY}.pub
MELANGE_OPTS += --signing-key ${KEY}
MELANGE_OPTS += --pipeline-dir ${MELANGE_DIR}/pipelines
# This distribution has pipelines of its own; melange of today takes a second directory.
MELANGE_OPTS += --pipeline-dirs ./pipelines
MELANGE_OPTS += --arch ${ARCH}
MELANGE_OPTS += --env-file build-${ARCH}.env
MELANGE_OPTS += --cache-dir ${CACHE_DIR}
MELANGE_OPTS += --namespace example
MELANGE_OPTS += ${MELANGE_EXTRA_OPTS}

ifeq (${BUILDWORLD}, no)
MELANGE_OPTS += -k ${PUBLIC_REPOSITORY}/signing.rsa.pub
MELANGE_OPTS += -r ${PUBLIC_REPOSITORY}
endif

all: ${KEY} .build-packages

${KEY}:
	${MELANGE} keygen ${KEY}

clean:
	rm -rf packages

# build-package,NAME,VERSION-rEPOCH[,SOURCEDIR]
define build-package
.build-packages: packages/$(1)
packages/$(1): packages/${ARCH}/$(1)-$(2).apk
packages/${ARCH}/$(1)-$(2).apk: ${KEY}
	mkdir -p ./$(or $(3),$(1))/
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} ${MELANGE} build $(1).yaml ${MELANGE_OPTS} --source-dir ./$(or $(3),$(1))/
endef

$(eval $(call build-package,baselayout,1-r0))
$(eval $(call build-package,shtools,1.10-r2))
$(eval $(call build-package,spell-lite,0.9-r0))
$(eval $(call build-package,words,20230125-r0))
$(eval $(call build-package,template,0.20-r0))
$(eval $(call build-package,docgen,3.2.1-r0))
$(eval $(call build-package,theme,1.4.2-r3))
$(eval $(call build-package,spell,1.0.3-r1))
$(eval $(call build-package,manual,4-r0))
$(eval $(call build-package,site,2026.08.1-r0))
$(eval $(call build-package,site-check,00303-r0))
$(eval $(call build-package,everything,1-r0))

.PHONY: all clean .build-packages packages/%
.build-packages:
