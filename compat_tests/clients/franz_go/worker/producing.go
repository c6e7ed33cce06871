package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

type sending struct {
	outcome map[string]any
	done    chan struct{}
}

// Producing is a producer; a promise for each record tells what became of it.
type Producing struct {
	client *kgo.Client
	acks   kgo.Acks
	sent   []*sending
}

func newProducing(bootstrap string, settings Settings) (*Producing, error) {
	acks := kgo.AllISRAcks()
	switch fmt.Sprint(settings.Acks) {
	case "0":
		acks = kgo.NoAck()
	case "1":
		acks = kgo.LeaderAck()
	}
	options := append(connecting(bootstrap),
		kgo.RequiredAcks(acks),
		kgo.ProducerBatchCompression(codecs[settings.Codec]),
		kgo.ProducerLinger(time.Duration(settings.LingerMs)*time.Millisecond),
		kgo.ProducerBatchMaxBytes(settings.BatchBytes),
		kgo.RecordPartitioner(chosen{kgo.StickyKeyPartitioner(nil)}),
		kgo.AllowAutoTopicCreation(),
		kgo.MaxBufferedRecords(100_000),
	)
	if settings.BatchBytes < settings.MaxRequestBytes && settings.BatchBytes == defaultBatchBytes {
		// franz-go's batch limit is also that of a single record.
		options = append(options, kgo.ProducerBatchMaxBytes(settings.MaxRequestBytes))
	}
	if timeout := time.Duration(settings.Timeout * float64(time.Second)); timeout < patience {
		// Counted from a record's timestamp, so not for those who choose old timestamps and are in no hurry.
		options = append(options, kgo.RecordDeliveryTimeout(timeout))
	}
	if !settings.Idempotent {
		options = append(options,
			kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(settings.InFlight))
	}
	if settings.TransactionalID != nil {
		options = append(options,
			kgo.TransactionalID(*settings.TransactionalID),
			kgo.TransactionTimeout(time.Duration(settings.TransactionTime*float64(time.Second))))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	return &Producing{client: client, acks: acks}, nil
}

const defaultBatchBytes = 16_384

// Call performs one method.
func (producing *Producing) Call(method string, request *Request) (any, error) {
	switch method {
	case "send":
		for _, each := range request.Records {
			record := &kgo.Record{Topic: request.Topic, Key: each.Key, Value: each.Value, Partition: -1}
			if each.Partition != nil {
				record.Partition = *each.Partition
			}
			if each.Timestamp != nil {
				record.Timestamp = time.UnixMilli(*each.Timestamp)
			}
			for _, header := range each.Headers {
				record.Headers = append(record.Headers, kgo.RecordHeader{Key: header.Name, Value: header.Value})
			}
			waiting := &sending{done: make(chan struct{})}
			producing.sent = append(producing.sent, waiting)
			producing.client.Produce(context.Background(), record, func(stored *kgo.Record, err error) {
				if err != nil {
					waiting.outcome = failure(err)
				} else {
					waiting.outcome = map[string]any{"partition": stored.Partition, "offset": stored.Offset}
				}
				close(waiting.done)
			})
		}
		return nil, nil
	case "outcomes":
		sent := producing.sent
		producing.sent = nil
		late := time.After(time.Duration(request.Within * float64(time.Second)))
		outcomes := []any{}
		for _, waiting := range sent {
			select {
			case <-waiting.done:
				outcomes = append(outcomes, waiting.outcome)
				continue
			default:
			}
			select {
			case <-waiting.done:
				outcomes = append(outcomes, waiting.outcome)
			case <-late:
				expired := make(chan time.Time)
				close(expired)
				late = expired
				outcomes = append(outcomes, map[string]any{"failed": "no answer in time"})
			}
		}
		return outcomes, nil
	}
	limit, cancel := soon()
	defer cancel()
	switch method {
	case "init_transactions":
		_, _, err := producing.client.ProducerID(limit)
		return nil, err
	case "begin":
		return nil, producing.client.BeginTransaction()
	case "commit":
		if err := producing.client.Flush(limit); err != nil {
			return nil, err
		}
		return nil, producing.client.EndTransaction(limit, kgo.TryCommit)
	case "abort":
		if err := producing.client.AbortBufferedRecords(limit); err != nil {
			return nil, err
		}
		return nil, producing.client.EndTransaction(limit, kgo.TryAbort)
	}
	return nil, fmt.Errorf("no method %s", method)
}

// Close lets go of everything.
func (producing *Producing) Close() {
	producing.client.CloseAllowingRebalance()
}

// chosen goes where the record says, and leaves the others to the client.
type chosen struct {
	otherwise kgo.Partitioner
}

type chosenTopic struct {
	otherwise kgo.TopicPartitioner
}

func (partitioner chosen) ForTopic(topic string) kgo.TopicPartitioner {
	return chosenTopic{partitioner.otherwise.ForTopic(topic)}
}

func (partitioner chosenTopic) RequiresConsistency(record *kgo.Record) bool {
	return record.Partition >= 0 || partitioner.otherwise.RequiresConsistency(record)
}

func (partitioner chosenTopic) Partition(record *kgo.Record, count int) int {
	if record.Partition >= 0 {
		return int(record.Partition)
	}
	return partitioner.otherwise.Partition(record, count)
}
