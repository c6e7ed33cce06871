// franz-go as a worker: requests in lines of JSON on standard input, answers on standard output.
// The protocol is told in compat_tests/clients/worker.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const patience = 30 * time.Second

// Request is any call; each method looks at its own fields.
type Request struct {
	ID         int64              `json:"id"`
	Call       string             `json:"call"`
	Handle     string             `json:"handle"`
	Bootstrap  string             `json:"bootstrap"`
	Settings   Settings           `json:"settings"`
	Topic      string             `json:"topic"`
	Topics     []string           `json:"topics"`
	Records    []Record           `json:"records"`
	Within     float64            `json:"within"`
	Positions  []json.RawMessage  `json:"positions"`
	Pattern    string             `json:"pattern"`
	Partition  Partition          `json:"partition"`
	Partitions json.RawMessage    `json:"partitions"`
	Position   json.RawMessage    `json:"position"`
	Offsets    []json.RawMessage  `json:"offsets"`
	Times      []Number           `json:"times"`
	Before     []Number           `json:"before"`
	Name       string             `json:"name"`
	Kind       string             `json:"kind"`
	Configs    map[string]*string `json:"configs"`
	Changes    map[string]*string `json:"changes"`
	Total      int                `json:"total"`
	Group      string             `json:"group"`
	Consumer   string             `json:"consumer"`
	Commit     bool               `json:"commit"`
}

// Settings are those of producers, consumers and copiers together.
type Settings struct {
	Acks              any     `json:"acks"`
	Codec             string  `json:"codec"`
	Idempotent        bool    `json:"idempotent"`
	LingerMs          int     `json:"linger_ms"`
	BatchBytes        int32   `json:"batch_bytes"`
	MaxRequestBytes   int32   `json:"max_request_bytes"`
	InFlight          int     `json:"in_flight"`
	Timeout           float64 `json:"timeout"`
	TransactionalID   *string `json:"transactional_id"`
	TransactionTime   float64 `json:"transaction_timeout"`
	Source            string  `json:"source"`
	Target            string  `json:"target"`
	Group             *string `json:"group"`
	InstanceID        *string `json:"instance_id"`
	Reset             string  `json:"reset"`
	AutoCommit        bool    `json:"auto_commit"`
	Assignor          string  `json:"assignor"`
	Protocol          string  `json:"protocol"`
	ReadCommitted     bool    `json:"read_committed"`
	SessionTimeout    float64 `json:"session_timeout"`
	FetchMaxBytes     int32   `json:"fetch_max_bytes"`
	PartitionMaxBytes int32   `json:"partition_max_bytes"`
	MaxWaitMs         int     `json:"max_wait_ms"`
	MinBytes          int32   `json:"min_bytes"`
}

// Header is a pair: a name, and bytes that may be null.
type Header struct {
	Name  string
	Value []byte
}

func (header Header) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{header.Name, header.Value})
}

func (header *Header) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&header.Name, &header.Value})
}

// Record is one to send or one received. Go's JSON has bytes as base64 and nil as null, as the protocol does.
type Record struct {
	Topic     string   `json:"topic"`
	Partition *int32   `json:"partition"`
	Offset    int64    `json:"offset"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []Header `json:"headers"`
	Timestamp *int64   `json:"timestamp"`
}

// Partition is written [topic, number].
type Partition struct {
	Topic  string
	Number int32
}

func (partition Partition) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{partition.Topic, partition.Number})
}

func (partition *Partition) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&partition.Topic, &partition.Number})
}

// Number is a partition with a number, which may be missing: [topic, number, value].
type Number struct {
	Partition
	Value *int64
}

func (number Number) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{number.Topic, number.Number, number.Value})
}

func (number *Number) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&number.Topic, &number.Partition.Number, &number.Value})
}

// Client is a producer, a consumer, a copier or an admin client.
type Client interface {
	Call(method string, request *Request) (any, error)
	Close()
}

var (
	clients = struct {
		sync.Mutex
		open map[string]Client
	}{open: map[string]Client{}}
	output sync.Mutex
)

func main() {
	queues := map[string]chan *Request{}
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		request := &Request{}
		if err := json.Unmarshal(line, request); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		queue, there := queues[request.Handle]
		if !there {
			queue = make(chan *Request, 1000)
			queues[request.Handle] = queue
			go func() {
				for request := range queue {
					answer(request)
				}
			}()
		}
		queue <- request
	}
}

func answer(request *Request) {
	line := map[string]any{"id": request.ID}
	result, err := perform(request)
	if err != nil {
		for key, value := range failure(err) {
			line[key] = value
		}
	} else {
		line["result"] = result
	}
	written, err := json.Marshal(line)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(written, '\n'))
}

func perform(request *Request) (any, error) {
	kind, method, _ := strings.Cut(request.Call, ".")
	clients.Lock()
	client := clients.open[request.Handle]
	clients.Unlock()
	switch method {
	case "open":
		opened, err := open(kind, request)
		if err != nil {
			return nil, err
		}
		clients.Lock()
		clients.open[request.Handle] = opened
		clients.Unlock()
		return nil, nil
	case "close":
		clients.Lock()
		delete(clients.open, request.Handle)
		clients.Unlock()
		client.Close()
		return nil, nil
	}
	return client.Call(method, request)
}

func open(kind string, request *Request) (Client, error) {
	switch kind {
	case "producer":
		return newProducing(request.Bootstrap, request.Settings)
	case "consumer":
		return newConsuming(request.Bootstrap, request.Settings), nil
	case "copier":
		return newCopying(request.Bootstrap, request.Settings)
	}
	return newAdministering(request.Bootstrap)
}

// failure is the broker's error code, or what the client says.
func failure(err error) map[string]any {
	var known *kerr.Error
	if errors.As(err, &known) && known.Code > 0 {
		return map[string]any{"refused": known.Code, "message": err.Error()}
	}
	return map[string]any{"failed": err.Error()}
}

func connecting(bootstrap string) []kgo.Opt {
	return append(secured(bootstrap),
		kgo.ClientID("franz-go"),
		// Quick to notice a broker that is back, and a topic that has come.
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.MetadataMaxAge(500*time.Millisecond),
	)
}

func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}
