// xtask-images 2bb76f76b50c: `cargo xtask update` keeps this file current.
const { appendFileSync } = require('node:fs')
const {
  ACTIONS_RUNTIME_TOKEN: token = '',
  ACTIONS_RESULTS_URL: url = '',
  ACTIONS_CACHE_SERVICE_V2: v2 = '',
  GITHUB_OUTPUT: output,
} = process.env
if (token) console.log(`::add-mask::${token}`)
appendFileSync(output, `token=${token}\nurl=${url}\nv2=${v2}\n`)
