# Later versions of Node run the scripts as they are, without tsx. That of Debian stable runs all other tests: with tsx
# what is about how a script is started, else what test/helpers/compile.mjs has made of it.

# shellcheck disable=SC2154 # bats sets these in `run`
load helpers/site

# npm has the programs of nodejs.org as packages.
with_node() {
  local version=$1 arch=arm64
  [ "$(uname -m)" != x86_64 ] || arch=x64
  npm install --prefix "$BATS_TEST_TMPDIR" --no-save --no-audit --no-fund --loglevel error \
    "node-linux-$arch@$version" 3>&-
  export PATH=$BATS_TEST_TMPDIR/node_modules/node-linux-$arch/bin:$PATH
  run -0 node --version
  assert_output "v$version"
}

# Every script begins, and every module can be read.
begins_everything() {
  local script
  cd "$CHECKOUT" || return 1
  for script in scripts/*.ts; do node "$script" --help >/dev/null; done
  # shellcheck disable=SC2016 # it is a program of node
  git ls-files 'lib/*.ts' | node --input-type=module --eval '
    for (const file of (await (await import("node:fs/promises")).readFile("/dev/stdin", "utf8")).trim().split("\n")) await import(`${process.cwd()}/${file}`)'
}

# bats test_tags=long
@test "Node 22 runs the scripts without tsx" {
  with_node 22.23.3
  begins_everything
}

# That of the next Debian stable.
@test "Node 24 runs the scripts without tsx, and what the scripts ask of Node itself is as it was" {
  with_node 24.21.0
  begins_everything
  run -0 node --test --test-reporter tap test/unit/{run,signals,lock,large_files,options,say,encryption,offsite}.test.ts
  assert_line --regexp '^# pass [0-9]{2}'
}
