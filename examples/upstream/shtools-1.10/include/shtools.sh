# For scripts that are put together at build time: . /usr/include/shtools.sh
. /usr/lib/shtools/log.sh
. /usr/lib/shtools/text.sh
