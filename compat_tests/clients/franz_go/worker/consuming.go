package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Consuming is a consumer. franz-go wants to know what to read when it is made, so it is made when that is known.
type Consuming struct {
	bootstrap string
	settings  Settings
	client    *kgo.Client
	lock      sync.Mutex
	assigned  map[Partition]bool
	next      map[Partition]int64
	// What stood in the last fetch beside its records; the next poll returns it.
	standing error
}

func newConsuming(bootstrap string, settings Settings) *Consuming {
	return &Consuming{
		bootstrap: bootstrap, settings: settings, assigned: map[Partition]bool{}, next: map[Partition]int64{},
	}
}

func (consuming *Consuming) start(more ...kgo.Opt) error {
	settings := consuming.settings
	reset := kgo.NewOffset().AtStart()
	switch settings.Reset {
	case "latest":
		reset = kgo.NewOffset().AtEnd()
	case "none":
		reset = kgo.NoResetOffset()
	}
	isolation := kgo.ReadUncommitted()
	if settings.ReadCommitted {
		isolation = kgo.ReadCommitted()
	}
	options := append(connecting(consuming.bootstrap),
		kgo.ConsumeResetOffset(reset),
		kgo.FetchIsolationLevel(isolation),
		kgo.FetchMaxBytes(settings.FetchMaxBytes),
		kgo.FetchMaxPartitionBytes(settings.PartitionMaxBytes),
		kgo.FetchMaxWait(time.Duration(settings.MaxWaitMs)*time.Millisecond),
		kgo.FetchMinBytes(settings.MinBytes),
	)
	client, err := kgo.NewClient(append(options, more...)...)
	if err == nil {
		if consuming.client != nil {
			consuming.client.Close()
		}
		consuming.client = client
	}
	return err
}

func (consuming *Consuming) join(more ...kgo.Opt) error {
	settings := consuming.settings
	assignors := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "cooperative": kgo.CooperativeStickyBalancer(),
	}
	options := append(more,
		kgo.ConsumerGroup(*settings.Group),
		kgo.Balancers(assignors[settings.Assignor]),
		kgo.SessionTimeout(time.Duration(settings.SessionTimeout*float64(time.Second))),
		kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, more map[string][]int32) {
			consuming.have(more, true)
		}),
		kgo.OnPartitionsRevoked(func(limit context.Context, client *kgo.Client, less map[string][]int32) {
			if settings.AutoCommit {
				// What franz-go does by itself for those who set no such function.
				if err := client.CommitUncommittedOffsets(limit); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}
			consuming.have(less, false)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, less map[string][]int32) {
			consuming.have(less, false)
		}),
	)
	if settings.Protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer())
	}
	if settings.InstanceID != nil {
		options = append(options, kgo.InstanceID(*settings.InstanceID))
	}
	if !settings.AutoCommit {
		options = append(options, kgo.DisableAutoCommit())
	}
	return consuming.start(options...)
}

func (consuming *Consuming) have(topics map[string][]int32, mine bool) {
	consuming.lock.Lock()
	defer consuming.lock.Unlock()
	for topic, numbers := range topics {
		for _, number := range numbers {
			if mine {
				consuming.assigned[Partition{topic, number}] = true
			} else {
				delete(consuming.assigned, Partition{topic, number})
			}
		}
	}
}

func offsetOf(position json.RawMessage) kgo.Offset {
	var number int64
	if json.Unmarshal(position, &number) == nil {
		return kgo.NewOffset().At(number)
	}
	if string(position) == `"end"` {
		return kgo.NewOffset().AtEnd()
	}
	return kgo.NewOffset().AtStart()
}

func topicMap(partitions []Partition) map[string][]int32 {
	found := map[string][]int32{}
	for _, each := range partitions {
		found[each.Topic] = append(found[each.Topic], each.Number)
	}
	return found
}

func (request *Request) partitionList() []Partition {
	var found []Partition
	if err := json.Unmarshal(request.Partitions, &found); err != nil {
		return nil
	}
	return found
}

// Call performs one method.
func (consuming *Consuming) Call(method string, request *Request) (any, error) {
	switch method {
	case "assign":
		return nil, consuming.assign(request.Positions)
	case "subscribe":
		if consuming.client != nil {
			consuming.client.PurgeTopicsFromConsuming(consuming.client.GetConsumeTopics()...)
			consuming.client.AddConsumeTopics(request.Topics...)
			return nil, nil
		}
		return nil, consuming.join(kgo.ConsumeTopics(request.Topics...))
	case "subscribe_pattern":
		return nil, consuming.join(kgo.ConsumeTopics(request.Pattern), kgo.ConsumeRegex())
	case "poll":
		return consuming.poll(request.Within)
	case "assignment":
		consuming.lock.Lock()
		defer consuming.lock.Unlock()
		found := []Partition{}
		for each := range consuming.assigned {
			found = append(found, each)
		}
		return found, nil
	case "seek":
		offset := offsetOf(request.Position).EpochOffset()
		consuming.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{
			request.Partition.Topic: {request.Partition.Number: offset},
		})
		return nil, nil
	case "position":
		return consuming.next[request.Partition], nil
	case "pause":
		consuming.client.PauseFetchPartitions(topicMap(request.partitionList()))
		return nil, nil
	case "resume":
		consuming.client.ResumeFetchPartitions(topicMap(request.partitionList()))
		return nil, nil
	case "commit":
		return nil, consuming.commit(request.Offsets)
	}
	return consuming.ask(method, request)
}

func (consuming *Consuming) assign(positions []json.RawMessage) error {
	partitions := map[string]map[int32]kgo.Offset{}
	for _, each := range positions {
		var partition Partition
		var position json.RawMessage
		if err := json.Unmarshal(each, &[]any{&partition.Topic, &partition.Number, &position}); err != nil {
			return err
		}
		offset := offsetOf(position)
		if position == nil {
			// Who reads without joining asks for the committed offset himself.
			found, err := consuming.committed([]Partition{partition})
			if err != nil {
				return err
			}
			if at, there := found.Lookup(partition.Topic, partition.Number); there && at.At >= 0 {
				offset = kgo.NewOffset().At(at.At)
			}
		}
		if partitions[partition.Topic] == nil {
			partitions[partition.Topic] = map[int32]kgo.Offset{}
		}
		partitions[partition.Topic][partition.Number] = offset
		consuming.assigned[partition] = true
	}
	return consuming.start(kgo.ConsumePartitions(partitions))
}

func (consuming *Consuming) poll(within float64) (any, error) {
	if failed := consuming.standing; failed != nil {
		consuming.standing = nil
		return nil, failed
	}
	limit, cancel := context.WithTimeout(context.Background(), time.Duration(within*float64(time.Second)))
	defer cancel()
	return consuming.take(consuming.client.PollRecords(limit, 1000))
}

// take returns the records of a fetch. franz-go has moved on past them, so an error in the same fetch must not cost
// them: it waits for the next poll, and is returned at once only where nothing came with it.
func (consuming *Consuming) take(fetches kgo.Fetches) ([]Record, error) {
	found := []Record{}
	for _, record := range fetches.Records() {
		timestamp, partition := record.Timestamp.UnixMilli(), record.Partition
		received := Record{
			Topic: record.Topic, Partition: &partition, Offset: record.Offset, Key: record.Key, Value: record.Value,
			Headers: []Header{}, Timestamp: &timestamp,
		}
		for _, header := range record.Headers {
			received.Headers = append(received.Headers, Header{header.Key, header.Value})
		}
		found = append(found, received)
		consuming.next[Partition{record.Topic, record.Partition}] = record.Offset + 1
	}
	for _, failed := range fetches.Errors() {
		if passes(failed.Err) {
			continue
		}
		if len(found) == 0 {
			return nil, failed.Err
		}
		consuming.standing = failed.Err
		break
	}
	return found, nil
}

// passes says whether franz-go only mentions an error and goes on by itself: the end of a poll, a topic that is not there
// yet, and a group that cannot be joined for the moment, because its coordinator moves, loads or is not reached. Other
// clients do not mention these at all.
func passes(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kerr.UnknownTopicOrPartition) {
		return true
	}
	var session *kgo.ErrGroupSession
	var refused *kerr.Error
	return errors.As(err, &session) && (!errors.As(err, &refused) || refused.Retriable)
}

func (consuming *Consuming) commit(offsets []json.RawMessage) error {
	limit, cancel := soon()
	defer cancel()
	committing := kadm.Offsets{}
	if offsets == nil {
		for partition, offset := range consuming.next {
			committing.AddOffset(partition.Topic, partition.Number, offset, -1)
		}
	}
	for _, each := range offsets {
		var at kadm.Offset
		if err := json.Unmarshal(each, &[]any{&at.Topic, &at.Partition, &at.At, &at.Metadata}); err != nil {
			return err
		}
		at.LeaderEpoch = -1
		committing.Add(at)
	}
	group, generation := consuming.client.GroupMetadata()
	if generation < 0 || group == "" {
		// Not a member: commit as one who has none.
		return consuming.asking(func(admin *kadm.Client) error {
			return admin.CommitAllOffsets(limit, *consuming.settings.Group, committing)
		})
	}
	offsetsOf := map[string]map[int32]kgo.EpochOffset{}
	committing.Each(func(at kadm.Offset) {
		if offsetsOf[at.Topic] == nil {
			offsetsOf[at.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsetsOf[at.Topic][at.Partition] = kgo.EpochOffset{Epoch: -1, Offset: at.At}
	})
	var failed error
	consuming.client.CommitOffsetsSync(limit, offsetsOf,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			failed = err
			if response == nil {
				return
			}
			for _, topic := range response.Topics {
				for _, partition := range topic.Partitions {
					failed = errors.Join(failed, kerr.ErrorForCode(partition.ErrorCode))
				}
			}
		})
	return failed
}

func (consuming *Consuming) asking(work func(*kadm.Client) error) error {
	client, err := kgo.NewClient(connecting(consuming.bootstrap)...)
	if err != nil {
		return err
	}
	defer client.Close()
	return work(kadm.NewClient(client))
}

func (consuming *Consuming) committed(partitions []Partition) (kadm.OffsetResponses, error) {
	limit, cancel := soon()
	defer cancel()
	var found kadm.OffsetResponses
	err := consuming.asking(func(admin *kadm.Client) (err error) {
		found, err = admin.FetchOffsets(limit, *consuming.settings.Group)
		return err
	})
	return found, err
}

func (consuming *Consuming) ask(method string, request *Request) (any, error) {
	limit, cancel := soon()
	defer cancel()
	found := []any{}
	partitions := request.partitionList()
	topics := []string{}
	for topic := range topicMap(partitions) {
		topics = append(topics, topic)
	}
	err := consuming.asking(func(admin *kadm.Client) error {
		switch method {
		case "committed":
			responses, err := admin.FetchOffsets(limit, *consuming.settings.Group)
			if err != nil {
				return err
			}
			for _, each := range partitions {
				if at, there := responses.Lookup(each.Topic, each.Number); there && at.At >= 0 {
					found = append(found, []any{each.Topic, each.Number, at.At, at.Metadata})
				}
			}
			return nil
		case "offsets_for_times":
			for _, each := range request.Times {
				listed, err := admin.ListOffsetsAfterMilli(limit, *each.Value, each.Topic)
				if err != nil {
					return err
				}
				at, _ := listed.Lookup(each.Topic, each.Partition.Number)
				// For a time after the last record kadm tells the end, without a timestamp.
				if at.Offset < 0 || at.Timestamp < 0 {
					found = append(found, Number{each.Partition, nil})
				} else {
					found = append(found, Number{each.Partition, &at.Offset})
				}
			}
			return nil
		case "beginning_offsets", "end_offsets":
			list := admin.ListStartOffsets
			if method == "end_offsets" {
				list = admin.ListEndOffsets
			}
			listed, err := list(limit, topics...)
			if err != nil {
				return err
			}
			for _, each := range partitions {
				at, _ := listed.Lookup(each.Topic, each.Number)
				if at.Err != nil {
					return at.Err
				}
				found = append(found, Number{each, &at.Offset})
			}
			return nil
		}
		return fmt.Errorf("no method %s", method)
	})
	return found, err
}

// Close leaves the group and lets go of everything.
func (consuming *Consuming) Close() {
	if consuming.client != nil {
		consuming.client.CloseAllowingRebalance()
	}
}
