#!/usr/bin/env bash
# Makes sure that the programs and npm packages are there which tests use: curl, nginx, Node.js, Chromium, Redis.
#
# What is missing is installed when this runs as root on a machine with apt-get. Otherwise one line says what is
# missing and the tests that need it will say that they were skipped; with CI set that is a failure.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Programs and the Debian packages that bring them.
declare -A packages=(
  [chromium]=chromium [curl]=curl [nginx]=nginx-light [node]=nodejs [npm]=npm [redis-server]=redis-server
)

missing_programs() {
  # Debian's nginx is in a folder that only root's path has.
  local program PATH="$PATH:/usr/local/sbin:/usr/sbin"
  for program in "${!packages[@]}"; do
    command -v "$program" >/dev/null || echo "$program"
  done
}

install_programs() {
  local wanted=() program
  for program in "$@"; do
    wanted+=("${packages[$program]}")
  done
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

# Say what cannot be tested; go on, unless this is CI.
give_up() {
  echo "test-deps: MISSING, its tests will not run: $*" >&2
  [[ -z "${CI:-}" ]] || exit 1
}

install_npm_packages() {
  local folder="$1" lock="$root/$1/package-lock.json" stamp="$root/$1/node_modules/.installed-package-lock.json"
  # A lock with download addresses would tie everybody to one registry.
  if grep -q '"resolved"' "$lock"; then
    echo "test-deps: $folder/package-lock.json has download addresses; make it again in that folder" >&2
    exit 1
  fi
  cmp -s "$lock" "$stamp" && return
  (cd "$root/$folder" && npm ci --no-audit --no-fund --loglevel=error) && cp "$lock" "$stamp"
}

mapfile -t missing < <(missing_programs)
if ((${#missing[@]})) && [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
  install_programs "${missing[@]}" || true
  mapfile -t missing < <(missing_programs)
fi
if ((${#missing[@]})); then
  give_up "${missing[*]}"
fi
if command -v npm >/dev/null; then
  for folder in tests/clients web; do
    install_npm_packages "$folder" || give_up "the npm packages of $folder"
  done
fi
