// What the suite's result does not say: each test's group, kind and dependencies.
// Run as: node catalogue.mjs DIRECTORY-OF-THE-SUITE
import { pathToFileURL } from 'node:url'

const suite = pathToFileURL(process.argv[2] + '/')
const load = async file => (await import(new URL(file, suite))).default
const groups = [...await load('tests/index.mjs'), await load('tests/surrogate-control.mjs')]
const tests = groups.flatMap(group => group.tests.map(test => ({
  id: test.id,
  group: group.id,
  group_name: group.name,
  kind: test.kind ?? 'required',
  depends_on: test.depends_on ?? [],
  browser_only: test.browser_only ?? false
})))
console.log(JSON.stringify(tests))
