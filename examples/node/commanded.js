// A broker on command, with kafkajs: faults, time, snapshots and resets (docs/control.md).
// Start a broker with `ottla serve --memory --control`; CONTROL is the address that it prints.
const http = require("node:http");
const { Kafka, logLevel } = require("kafkajs");

const control = new URL(process.env.CONTROL);
const topic = "examples.commanded.node";
const kafka = () =>
  new Kafka({
    brokers: [process.env.BOOTSTRAP_SERVERS || "localhost:9092"],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 10 },
  });

function command(method, path, body) {
  return new Promise((done, failed) => {
    const headers = { "Ottla-Token": control.searchParams.get("token") };
    const request = http.request(new URL(path, control), { method, headers }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => {
        const answer = JSON.parse(Buffer.concat(pieces));
        response.statusCode < 400 ? done(answer) : failed(new Error(answer.error));
      });
    });
    request.on("error", failed);
    request.end(body && JSON.stringify(body));
  });
}

async function send(value) {
  const producer = kafka().producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value }] });
  await producer.disconnect();
}

async function kept() {
  const admin = kafka().admin();
  await admin.connect();
  const [{ low, high }] = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return high - low;
}

async function main() {
  await send("one");
  await command("POST", "/snapshots", { name: "with-one" });
  const fault = { what: "error", error: "NOT_LEADER_OR_FOLLOWER", api: "Produce", topic, times: 2 };
  const { id } = await command("POST", "/faults", fault);
  await send("two");
  const { injected } = await command("GET", `/faults/${id}`);
  const sent = await kept();
  await command("POST", "/clock/advance", { seconds: 8 * 24 * 3600 });
  const expired = sent - (await kept());
  await command("POST", "/restore", { name: "with-one" });
  const back = await kept();
  await command("POST", "/reset");
  await send("three");
  console.log(`${injected} refused, ${expired} expired, ${back} restored, ${await kept()} after a reset`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
