// kafkajs as a worker: requests in lines of JSON on standard input, answers on standard output.
// The protocol is told in compat_tests/clients/worker.py.
'use strict'

const fs = require('fs')
const readline = require('readline')
const {
  AssignerProtocol, CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel,
} = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const CODECS = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD,
}
const RETRY = { initialRetryTime: 50, maxRetryTime: 250, retries: 100, restartOnFailure: async () => true }

class Refused extends Error {
  constructor(code, message) {
    super(message)
    this.code = code
  }
}

const bytes = text => (text === null ? null : Buffer.from(text, 'base64'))
const text = data => (data === null || data === undefined ? null : Buffer.from(data).toString('base64'))
const keyOf = (topic, partition) => `${topic}/${partition}`
const soon = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))
const connectTo = (bootstrap, retry = RETRY) => new Kafka({
  ...secured(bootstrap), clientId: 'kafkajs', logLevel: logLevel.NOTHING, retry, requestTimeout: 10000,
})

// An address as compat_tests/secured.py writes it: SASL_SSL://host:port?ca=..., or plain host:port.
function secured(address) {
  const [protocol, rest] = address.split('://')
  if (rest === undefined) return { brokers: [address] }
  const [broker, query] = rest.split('?')
  const parts = new URLSearchParams(query)
  const read = name => (parts.has(name) ? fs.readFileSync(parts.get(name)) : undefined)
  const options = { brokers: [broker] }
  if (protocol.endsWith('SSL')) options.ssl = { ca: [read('ca')], cert: read('certificate'), key: read('key') }
  if (parts.has('mechanism')) {
    options.sasl = {
      mechanism: parts.get('mechanism').toLowerCase(), username: parts.get('user'), password: parts.get('password'),
      oauthBearerProvider: async () => ({ value: parts.get('password') }), // of OAUTHBEARER the password is the token
    }
  }
  return options
}

// The broker's error code, or what the client says. Causes and members of an aggregate tell more than their wrappings.
function failure(error) {
  for (let each = error; each; each = each.cause || (each.errors && each.errors[0]) || innerOf(each)) {
    if (Number.isInteger(each.code) && each.code > 0) return { refused: each.code, message: each.message }
  }
  return { failed: String(error) }
}

function innerOf(error) {
  const [inside] = error.groups || error.partitions || []
  if (!inside) return undefined
  return inside.error || new Refused(inside.errorCode, error.message)
}

class Producing {
  constructor(bootstrap, settings) {
    this.acks = settings.acks === 'all' ? -1 : settings.acks
    this.compression = CODECS[settings.codec]
    this.batchBytes = settings.batch_bytes
    // kafkajs does not say where it put each message, but it asks its partitioner, in order.
    this.chosen = new WeakMap()
    const retries = Math.ceil(settings.timeout / 0.25)
    this.client = connectTo(bootstrap, { ...RETRY, retries }).producer({
      idempotent: settings.idempotent || settings.transactional_id !== null,
      maxInFlightRequests: settings.idempotent || settings.transactional_id !== null ? 1 : settings.in_flight,
      ...(settings.transactional_id === null ? {} : {
        transactionalId: settings.transactional_id, transactionTimeout: settings.transaction_timeout * 1000,
      }),
      createPartitioner: () => {
        const partitioner = Partitioners.DefaultPartitioner()
        return asked => {
          const partition = partitioner(asked)
          this.chosen.set(asked.message, partition)
          return partition
        }
      },
    })
    this.sending = Promise.resolve()
    this.sent = []
    this.transaction = null
    this.taken = null
  }

  async open() {
    await this.client.connect()
  }

  async send({ topic, records }) {
    let batch = []
    let size = 0
    for (const record of records) {
      const message = { key: bytes(record.key), value: bytes(record.value), headers: {} }
      for (const [name, value] of record.headers) {
        const before = message.headers[name]
        message.headers[name] = before === undefined ? bytes(value) : [].concat(before, bytes(value))
      }
      if (record.partition !== null) message.partition = record.partition
      if (record.timestamp !== null) message.timestamp = String(record.timestamp)
      const more = (message.value ? message.value.length : 0) + 100
      if (batch.length && size + more > this.batchBytes) {
        this.dispatch(topic, batch)
        batch = []
        size = 0
      }
      batch.push(message)
      size += more
    }
    if (batch.length) this.dispatch(topic, batch)
    return null
  }

  // kafkajs takes hold of the transactional id when it begins its first transaction: so that one is begun here.
  async init_transactions() {
    this.taken = await this.client.transaction()
    return null
  }

  async begin() {
    this.transaction = this.taken || await this.client.transaction()
    this.taken = null
    return null
  }

  async send_offsets({ offsets, group }) {
    await this.sending
    const topics = new Map()
    for (const [topic, partition, offset] of offsets) {
      if (!topics.has(topic)) topics.set(topic, [])
      topics.get(topic).push({ partition, offset: String(offset) })
    }
    await this.transaction.sendOffsets({
      consumerGroupId: group, topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
    })
    return null
  }

  async commit() {
    await this.sending
    const ending = this.transaction
    this.transaction = null
    await ending.commit()
    return null
  }

  async abort() {
    await this.sending
    const ending = this.transaction
    this.transaction = null
    await ending.abort()
    return null
  }

  dispatch(topic, messages) {
    const through = this.transaction || this.client
    this.sending = this.sending.then(async () => {
      try {
        const stored = await through.send({
          topic, messages, acks: this.acks, compression: this.compression, timeout: 10000,
        })
        const next = new Map((stored || []).map(each => [each.partition, Number(each.baseOffset)]))
        return messages.map(message => {
          const partition = message.partition !== undefined ? message.partition : this.chosen.get(message)
          const offset = next.has(partition) ? next.get(partition) : -1
          next.set(partition, offset < 0 ? -1 : offset + 1)
          return { partition, offset }
        })
      } catch (error) {
        return messages.map(() => failure(error))
      }
    })
    this.sent.push([this.sending, messages.length])
  }

  async outcomes({ within }) {
    const sent = this.sent
    this.sent = []
    const late = soon(within * 1000).then(() => null)
    const outcomes = []
    for (const [promise, count] of sent) {
      const settled = await Promise.race([promise, late])
      outcomes.push(...(settled || Array(count).fill({ failed: 'no answer in time' })))
    }
    return outcomes
  }

  async close() {
    await Promise.race([this.client.disconnect(), soon(1000)])
  }
}

// kafkajs pushes batches to its user and knows groups only. What was pushed waits here until it is polled; partitions
// chosen by hand are read as the only member of a group of that purpose, by seeking.
class Consuming {
  constructor(bootstrap, settings) {
    this.settings = settings
    this.kafka = connectTo(bootstrap)
    this.group = settings.group || `by-hand-${process.pid}-${Consuming.count++}`
    this.client = this.kafka.consumer({
      groupId: this.group,
      sessionTimeout: settings.session_timeout * 1000,
      heartbeatInterval: 200,
      metadataMaxAge: 500,
      allowAutoTopicCreation: false,
      maxBytes: settings.fetch_max_bytes,
      maxBytesPerPartition: settings.partition_max_bytes,
      minBytes: settings.min_bytes,
      maxWaitTimeInMs: settings.max_wait_ms,
      readUncommitted: !settings.read_committed,
      retry: RETRY,
    })
    this.assigned = []
    this.joined = new Promise(resolve => this.client.on(this.client.events.GROUP_JOIN, ({ payload }) => {
      this.assigned = Object.entries(payload.memberAssignment)
        .flatMap(([topic, partitions]) => partitions.map(partition => [topic, partition]))
      // kafkajs joins again when it pleases, and then begins at what is committed: often at the beginning.
      for (const [topic, partition] of this.assigned) {
        const next = this.next.get(keyOf(topic, partition))
        if (next !== undefined) this.client.seek({ topic, partition, offset: next })
      }
      resolve()
    }))
    // After most crashes kafkajs starts its consumer again; after others it is silent, and a poll must not be.
    this.client.on(this.client.events.CRASH, ({ payload }) => { if (!payload.restart) this.crash = payload.error })
    this.queue = []
    this.next = new Map()
    this.polled = new Map()
    this.paused = new Set()
    this.wanted = null
  }

  async open() {
    await this.client.connect()
  }

  async run(topics, fromBeginning) {
    await this.client.subscribe({ topics, fromBeginning })
    await this.client.run({
      autoCommit: this.settings.auto_commit,
      eachBatch: async ({ batch, isStale, isRunning, resolveOffset, heartbeat }) => {
        if (this.wanted && !this.wanted.has(keyOf(batch.topic, batch.partition))) return
        for (const message of batch.messages) {
          if (isStale() || !isRunning()) return
          this.queue.push({ topic: batch.topic, partition: batch.partition, message })
          this.next.set(keyOf(batch.topic, batch.partition), String(BigInt(message.offset) + 1n))
          resolveOffset(message.offset)
        }
        await heartbeat()
      },
    })
  }

  async subscribe({ topics }) {
    await this.run(topics, this.settings.reset === 'earliest')
    return null
  }

  async assign({ positions }) {
    this.wanted = new Set(positions.map(([topic, partition]) => keyOf(topic, partition)))
    const topics = [...new Set(positions.map(([topic]) => topic))]
    await this.run(topics, this.settings.reset === 'earliest')
    for (const [topic, partition, position] of positions) await this.goTo(topic, partition, position)
    await this.joined
    return null
  }

  async goTo(topic, partition, position) {
    // The special numbers of Kafka's for both ends mean to kafkajs: wherever fromBeginning says.
    const offset = typeof position === 'number'
      ? position : (await this.watermarks([[topic, partition]], position === 'end' ? 'high' : 'low'))[0][2]
    this.next.set(keyOf(topic, partition), String(offset))
    try {
      this.client.seek({ topic, partition, offset: String(offset) })
    } catch (error) {
      // A consumer that starts again after a crash has no group to seek in; having joined, it seeks to what is next.
      if (!/not initialized/.test(error.message)) throw error
    }
    this.queue = this.queue.filter(each => each.topic !== topic || each.partition !== partition)
  }

  async seek({ partition: [topic, partition], position }) {
    await this.goTo(topic, partition, position)
    return null
  }

  async poll({ within }) {
    const deadline = Date.now() + within * 1000
    const ready = each => !this.paused.has(keyOf(each.topic, each.partition))
    while (!this.queue.some(ready) && !this.crash && Date.now() < deadline) await soon(5)
    const taken = this.queue.filter(ready)
    if (!taken.length && this.crash) throw this.crash
    this.queue = this.queue.filter(each => !ready(each))
    return taken.map(({ topic, partition, message }) => {
      this.polled.set(keyOf(topic, partition), { topic, partition, offset: String(BigInt(message.offset) + 1n) })
      const headers = Object.entries(message.headers || {})
        .flatMap(([name, value]) => [].concat(value).map(each => [name, text(each)]))
      return {
        topic, partition, offset: Number(message.offset), key: text(message.key), value: text(message.value),
        headers, timestamp: Number(message.timestamp),
      }
    })
  }

  async assignment() {
    return this.wanted ? this.assigned.filter(each => this.wanted.has(keyOf(...each))) : this.assigned
  }

  async pause({ partitions }) {
    for (const [topic, partition] of partitions) {
      this.paused.add(keyOf(topic, partition))
      this.client.pause([{ topic, partitions: [partition] }])
    }
    return null
  }

  async resume({ partitions }) {
    for (const [topic, partition] of partitions) {
      this.paused.delete(keyOf(topic, partition))
      this.client.resume([{ topic, partitions: [partition] }])
    }
    return null
  }

  async commit({ offsets }) {
    const committing = offsets === null
      ? [...this.polled.values()]
      : offsets.map(([topic, partition, offset, metadata]) => ({ topic, partition, offset: String(offset), metadata }))
    await this.client.commitOffsets(committing)
    return null
  }

  async committed({ partitions }) {
    const topics = [...new Set(partitions.map(([topic]) => topic))]
    const found = await this.administering(admin => admin.fetchOffsets({ groupId: this.group, topics }))
    return committedRows(found)
  }

  async offsets_for_times({ times }) {
    return await this.administering(async admin => {
      const rows = []
      for (const [topic, partition, at] of times) {
        const found = await admin.fetchTopicOffsetsByTimestamp(topic, at)
        const { offset } = found.find(each => each.partition === partition)
        // For a time after the last record kafkajs tells the end.
        const high = (await admin.fetchTopicOffsets(topic)).find(each => each.partition === partition).high
        rows.push([topic, partition, offset === high ? null : Number(offset)])
      }
      return rows
    })
  }

  async watermarks(partitions, which) {
    return await this.administering(async admin => {
      const rows = []
      for (const [topic, partition] of partitions) {
        const found = (await admin.fetchTopicOffsets(topic)).find(each => each.partition === partition)
        rows.push([topic, partition, Number(found[which])])
      }
      return rows
    })
  }

  async beginning_offsets({ partitions }) {
    return await this.watermarks(partitions, 'low')
  }

  async end_offsets({ partitions }) {
    return await this.watermarks(partitions, 'high')
  }

  async administering(work) {
    const admin = this.kafka.admin()
    await admin.connect()
    try {
      return await work(admin)
    } finally {
      await admin.disconnect()
    }
  }

  async close() {
    await Promise.race([this.client.disconnect(), soon(3000)])
  }
}
Consuming.count = 0

const committedRows = found => found.flatMap(({ topic, partitions }) => partitions
  .filter(each => Number(each.offset) >= 0)
  .map(each => [topic, each.partition, Number(each.offset), each.metadata || '']))

class Administering {
  constructor(bootstrap) {
    this.client = connectTo(bootstrap, { ...RETRY, retries: 5 }).admin()
  }

  async open() {
    await this.client.connect()
  }

  async topics() {
    const { topics } = await this.client.fetchTopicMetadata()
    return Object.fromEntries(topics
      .filter(({ name }) => !name.startsWith('__')).map(({ name, partitions }) => [name, partitions.length]))
  }

  async create_topic({ name, partitions, configs }) {
    const topic = {
      topic: name, numPartitions: partitions === null ? -1 : partitions, replicationFactor: 1,
      configEntries: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
    }
    // kafkajs tells in this way that the topic exists, which is error 36 on the wire.
    if (!await this.client.createTopics({ topics: [topic], waitForLeaders: false })) throw new Refused(36, 'exists')
    return null
  }

  async delete_topic({ name }) {
    await this.client.deleteTopics({ topics: [name] })
    return null
  }

  async create_partitions({ topic, total }) {
    await this.client.createPartitions({ topicPartitions: [{ topic, count: total }] })
    return null
  }

  async describe_configs({ kind, name }) {
    const type = kind === 'topic' ? ConfigResourceTypes.TOPIC : ConfigResourceTypes.BROKER
    const { resources } = await this.client.describeConfigs({ resources: [{ type, name }], includeSynonyms: false })
    return Object.fromEntries(resources[0].configEntries.map(each => [each.configName, {
      value: each.configValue, default: each.isDefault || each.configSource === 5,
      read_only: each.readOnly, sensitive: each.isSensitive,
    }]))
  }

  async delete_records({ before }) {
    const rows = []
    for (const [topic, partition, offset] of before) {
      // kafkajs wants to have heard of the topic before.
      await this.client.fetchTopicOffsets(topic)
      await this.client.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
      const found = await this.client.fetchTopicOffsets(topic)
      rows.push([topic, partition, Number(found.find(each => each.partition === partition).low)])
    }
    return rows
  }

  async groups() {
    return (await this.client.listGroups()).groups.map(({ groupId }) => groupId)
  }

  async describe_group({ group }) {
    const [described] = (await this.client.describeGroups([group])).groups
    const members = described.members.map(member => {
      const decoded = member.memberAssignment.length
        ? AssignerProtocol.MemberAssignment.decode(member.memberAssignment) : { assignment: {} }
      const partitions = Object.entries(decoded.assignment)
        .flatMap(([topic, numbers]) => numbers.map(number => [topic, number]))
      return { member_id: member.memberId, client_id: member.clientId, instance_id: null, partitions }
    })
    return { state: described.state, protocol: described.protocol, members }
  }

  async delete_group({ group }) {
    await this.client.deleteGroups([group])
    return null
  }

  async group_offsets({ group }) {
    return committedRows(await this.client.fetchOffsets({ groupId: group }))
  }

  async alter_group_offsets({ group, offsets }) {
    for (const [topic, partition, offset] of offsets) {
      await this.client.setOffsets({ groupId: group, topic, partitions: [{ partition, offset: String(offset) }] })
    }
    return null
  }

  async cluster() {
    const { brokers, controller, clusterId } = await this.client.describeCluster()
    return { nodes: brokers.map(each => [each.nodeId, each.host, each.port]), controller, cluster_id: clusterId }
  }

  async close() {
    await Promise.race([this.client.disconnect(), soon(1000)])
  }
}

const KINDS = { producer: Producing, consumer: Consuming, admin: Administering }
const handles = new Map()
const queues = new Map()

async function perform(request) {
  const [kind, method] = request.call.split('.')
  if (method === 'open') {
    const opened = new KINDS[kind](request.bootstrap, request.settings)
    handles.set(request.handle, opened)
    await opened.open()
    return null
  }
  const handle = handles.get(request.handle)
  if (method === 'close') {
    handles.delete(request.handle)
    await handle.close()
    return null
  }
  return await handle[method](request)
}

async function answer(request) {
  let line = { id: request.id }
  try {
    line.result = await perform(request)
  } catch (error) {
    line = { id: request.id, ...failure(error) }
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

// An error that no call waits for belongs to none of them.
process.on('unhandledRejection', error => process.stderr.write(`${error && error.stack}\n`))
const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity })
lines.on('line', line => {
  const request = JSON.parse(line)
  const before = queues.get(request.handle) || Promise.resolve()
  queues.set(request.handle, before.then(() => answer(request)))
})
lines.on('close', () => process.exit(0))
