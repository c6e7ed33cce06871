package main

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func fetched(records []*kgo.Record, failed ...error) kgo.Fetches {
	fetches := kgo.Fetches{{Topics: []kgo.FetchTopic{{
		Topic: "t", Partitions: []kgo.FetchPartition{{Partition: 0, Records: records}},
	}}}}
	for _, each := range failed {
		fetches = append(fetches, kgo.NewErrFetch(each)...)
	}
	return fetches
}

// The records of a fetch are returned also where an error stands in it; the next poll returns the error, once.
func TestRecordsBesideAnErrorAreKept(t *testing.T) {
	consuming := newConsuming("127.0.0.1:1", Settings{})
	record := &kgo.Record{Topic: "t", Value: []byte("a"), Offset: 7}
	gone := errors.New("the connection is gone")
	found, err := consuming.take(fetched([]*kgo.Record{record}, gone))
	if err != nil || len(found) != 1 || string(found[0].Value) != "a" {
		t.Fatal(found, err)
	}
	if consuming.next[Partition{"t", 0}] != 8 {
		t.Fatal(consuming.next)
	}
	if _, err := consuming.poll(0); err != gone {
		t.Fatal(err)
	}
	if consuming.standing != nil {
		t.Fatal(consuming.standing)
	}
}

// A group that cannot be joined for the moment is no error; one that refuses its member is.
func TestWhatPasses(t *testing.T) {
	moved := &kgo.ErrGroupSession{Err: kerr.NotCoordinator}
	unreachable := &kgo.ErrGroupSession{Err: errors.New("connection refused")}
	fenced := &kgo.ErrGroupSession{Err: kerr.FencedInstanceID}
	for _, each := range []error{context.DeadlineExceeded, kerr.UnknownTopicOrPartition, moved, unreachable} {
		if !passes(each) {
			t.Error(each)
		}
	}
	for _, each := range []error{fenced, kerr.OffsetOutOfRange, kerr.NotCoordinator, errors.New("connection refused")} {
		if passes(each) {
			t.Error(each)
		}
	}
}

// An error that came alone is returned at once; a topic that is not there yet is none.
func TestAnErrorAloneIsReturned(t *testing.T) {
	consuming := newConsuming("127.0.0.1:1", Settings{})
	gone := errors.New("the connection is gone")
	if _, err := consuming.take(fetched(nil, kerr.UnknownTopicOrPartition, gone)); err != gone {
		t.Fatal(err)
	}
	if found, err := consuming.take(fetched(nil, kerr.UnknownTopicOrPartition)); err != nil || len(found) != 0 {
		t.Fatal(found, err)
	}
}
