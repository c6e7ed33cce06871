// One record, there and back, with kafkajs: npm install kafkajs
const { Kafka, logLevel } = require("kafkajs");

const kafka = new Kafka({
  brokers: [process.env.BOOTSTRAP_SERVERS || "localhost:9092"],
  logLevel: logLevel.NOTHING,
});

async function main() {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "examples.node" }] });
  await admin.disconnect();

  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic: "examples.node", messages: [{ value: "hello from kafkajs" }] });
  await producer.disconnect();

  const consumer = kafka.consumer({ groupId: "examples" });
  await consumer.connect();
  await consumer.subscribe({ topics: ["examples.node"], fromBeginning: true });
  const words = await new Promise((heard) => {
    consumer.run({ eachMessage: async ({ message }) => heard(message.value.toString()) });
  });
  console.log(words);
  await consumer.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
