#!/bin/sh
# Installs the browser that the tests of the pages drive: where it may, or says what to install.
# Chromium's headless shell takes half the processor's time of a whole one: that is installed where no
# browser is there yet, and driven where it is.
set -eu

there() {
    for name in chromium-headless-shell chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}

if there; then exit 0; fi
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root=no; fi
    if [ "$as_root" != no ]; then
        $as_root apt-get update -qq
        browser=chromium
        # Debian has it by itself; others have it with the whole browser, or not at all.
        if [ -n "$(apt-cache search --names-only '^chromium-headless-shell$')" ]; then
            browser=chromium-headless-shell
        fi
        echo "Installing $browser"
        DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends \
            $browser fonts-dejavu-core >/dev/null
    fi
fi
if ! there; then
    echo "The tests of the pages need Chromium: install the package chromium, so that one of the" >&2
    echo "commands chromium-headless-shell, chromium, chromium-browser or google-chrome is there." >&2
    exit 1
fi
