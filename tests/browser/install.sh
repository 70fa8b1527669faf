#!/bin/sh
# Installs the browser that the tests of the pages drive: where it may, or says what to install.
set -eu

there() {
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}

if there; then exit 0; fi
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root=no; fi
    if [ "$as_root" != no ]; then
        echo "Installing chromium"
        $as_root apt-get update -qq
        DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends \
            chromium fonts-dejavu-core >/dev/null
    fi
fi
if ! there; then
    echo "The tests of the pages need Chromium: install the package chromium, so that one of the" >&2
    echo "commands chromium, chromium-browser or google-chrome is there." >&2
    exit 1
fi
