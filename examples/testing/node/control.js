// A test in JavaScript brings its broker back: node control.js ADDRESS snapshot|restore|reset, with the address that
// `ottla serve --control` prints. Node.js is all it needs.

const [address, command] = process.argv.slice(2);
const url = new URL(address);

async function ask(path, body) {
  const response = await fetch(new URL(path, url.origin), {
    method: "POST",
    headers: { "Ottla-Token": url.searchParams.get("token") },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

const commands = {
  snapshot: () => ask("/snapshots", { name: "from-node" }),
  restore: () => ask("/restore", { name: "from-node" }),
  reset: () => ask("/reset"),
};

commands[command]().then((answer) => console.log(JSON.stringify(answer)));
