# Later versions of Node run the scripts as they are, without tsx. That of Debian stable, with tsx, runs all other tests.

# shellcheck disable=SC2154 # bats sets these in `run`
load helpers/site

# npm has the programs of nodejs.org as packages.
with_node() {
  local version=$1 arch=arm64
  [ "$(uname -m)" != x86_64 ] || arch=x64
  npm install --prefix "$BATS_TEST_TMPDIR" --no-save --no-audit --no-fund --loglevel error "node-linux-$arch@$version" 3>&-
  export PATH=$BATS_TEST_TMPDIR/node_modules/node-linux-$arch/bin:$PATH
  run -0 node --version
  assert_output "v$version"
}

# Every script begins, and every module that a unit test loads does what it should.
runs_everything() {
  local script files
  cd "$CHECKOUT" || return 1
  for script in scripts/*.ts; do node "$script" --help >/dev/null; done
  mapfile -t files < <(find test/unit -name '*.test.ts')
  run -0 node --test --test-reporter tap "${files[@]}"
  assert_line --regexp '^# pass [0-9]{3}'
}

@test "Node 22 runs the scripts and the unit tests without tsx" {
  with_node 22.23.3
  runs_everything
}

@test "Node 24 runs the scripts and the unit tests without tsx" {
  with_node 24.21.0
  runs_everything
}
