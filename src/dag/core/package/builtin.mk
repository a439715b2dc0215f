# How dag builds in a directory that has no Makefile: the target of a package is the file that
# melange writes. dag gives make the variables, among them FILE-NAME-VERSION-rEPOCH for a definition
# that is not NAME.yaml. SOURCE_DIR is for you: the sources, if they are not in the folder NAME.

$(KEY):
	$(MELANGE) keygen $(KEY)

packages/$(ARCH)/%.apk: | $(KEY)
	full='$*' && name="$${full%-*-r*}" && mkdir -p "./$$name/" && \
	$(MELANGE) build "$(or $(FILE-$*),./$$name.yaml)" \
		--arch $(ARCH) --runner $(MELANGE_RUNNER) --signing-key $(KEY) \
		--keyring-append $(KEY).pub --repository-append $(REPO) \
		--pipeline-dirs ./pipelines/ \
		--source-dir "$(or $(SOURCE_DIR),./$$name)/" $(MELANGE_EXTRA_OPTS)
