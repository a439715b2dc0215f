# Words and lines.
words_of() {
  tr -cs '[:alpha:]' '\n' <"$1" | tr '[:upper:]' '[:lower:]' | sort -u
}
