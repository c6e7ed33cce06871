// One record, there and back, with franz-go: go run .
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	servers := os.Getenv("BOOTSTRAP_SERVERS")
	if servers == "" {
		servers = "localhost:9092"
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(servers),
		kgo.AllowAutoTopicCreation(),
		kgo.ConsumeTopics("examples.go"),
		kgo.ConsumerGroup("examples.go"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	record := &kgo.Record{Topic: "examples.go", Value: []byte("hello from franz-go")}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		log.Fatal(err)
	}
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(fetches.Records()[0].Value))
	if err := client.CommitUncommittedOffsets(ctx); err != nil {
		log.Fatal(err)
	}
}
