package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Administering is an admin client.
type Administering struct {
	client *kgo.Client
	admin  *kadm.Client
}

func newAdministering(bootstrap string) (*Administering, error) {
	client, err := kgo.NewClient(connecting(bootstrap)...)
	if err != nil {
		return nil, err
	}
	return &Administering{client, kadm.NewClient(client)}, nil
}

// Close lets go of everything.
func (administering *Administering) Close() {
	administering.admin.Close()
}

// Call performs one method.
func (administering *Administering) Call(method string, request *Request) (any, error) {
	limit, cancel := soon()
	defer cancel()
	admin := administering.admin
	switch method {
	case "topics":
		listed, err := admin.ListTopics(limit)
		if err != nil {
			return nil, err
		}
		found := map[string]int{}
		for name, topic := range listed {
			found[name] = len(topic.Partitions)
		}
		return found, nil
	case "create_topic":
		partitions := int32(-1)
		if string(request.Partitions) != "null" {
			if err := json.Unmarshal(request.Partitions, &partitions); err != nil {
				return nil, err
			}
		}
		created, err := admin.CreateTopic(limit, partitions, 1, request.Configs, request.Name)
		if err == nil {
			err = created.Err
		}
		return nil, err
	case "delete_topic":
		deleted, err := admin.DeleteTopic(limit, request.Name)
		if err == nil {
			err = deleted.Err
		}
		return nil, err
	case "create_partitions":
		grown, err := admin.UpdatePartitions(limit, request.Total, request.Topic)
		if err == nil {
			err = grown.Error()
		}
		return nil, err
	case "describe_configs":
		return administering.describeConfigs(limit, request)
	case "alter_configs":
		return nil, administering.alterConfigs(limit, request)
	case "delete_records":
		offsets := kadm.Offsets{}
		for _, each := range request.Before {
			offsets.AddOffset(each.Topic, each.Partition.Number, *each.Value, -1)
		}
		deleted, err := admin.DeleteRecords(limit, offsets)
		if err == nil {
			err = deleted.Error()
		}
		if err != nil {
			return nil, err
		}
		found := []any{}
		for _, each := range deleted.Sorted() {
			low := each.LowWatermark
			found = append(found, Number{Partition{each.Topic, each.Partition}, &low})
		}
		return found, nil
	case "groups":
		listed, err := admin.ListGroups(limit)
		return listed.Groups(), err
	case "describe_group":
		return administering.describeGroup(limit, request.Group)
	case "delete_group":
		deleted, err := admin.DeleteGroup(limit, request.Group)
		if err == nil {
			err = deleted.Err
		}
		return nil, err
	case "group_offsets":
		responses, err := admin.FetchOffsets(limit, request.Group)
		if err == nil {
			err = responses.Error()
		}
		found := []any{}
		responses.Each(func(each kadm.OffsetResponse) {
			found = append(found, []any{each.Topic, each.Partition, each.At, each.Metadata})
		})
		return found, err
	case "alter_group_offsets":
		offsets := kadm.Offsets{}
		for _, each := range request.Offsets {
			var at kadm.Offset
			if err := json.Unmarshal(each, &[]any{&at.Topic, &at.Partition, &at.At}); err != nil {
				return nil, err
			}
			at.LeaderEpoch = -1
			offsets.Add(at)
		}
		return nil, admin.CommitAllOffsets(limit, request.Group, offsets)
	case "delete_group_offsets":
		asked := kadm.TopicsSet{}
		for _, each := range request.partitionList() {
			asked.Add(each.Topic, each.Number)
		}
		deleted, err := admin.DeleteOffsets(limit, request.Group, asked)
		if err == nil {
			err = deleted.Error()
		}
		return nil, err
	case "cluster":
		metadata, err := admin.BrokerMetadata(limit)
		if err != nil {
			return nil, err
		}
		nodes := []any{}
		for _, node := range metadata.Brokers {
			nodes = append(nodes, []any{node.NodeID, node.Host, node.Port})
		}
		return map[string]any{"nodes": nodes, "controller": metadata.Controller, "cluster_id": metadata.Cluster}, nil
	case "log_sizes":
		described, err := admin.DescribeAllLogDirs(limit, nil)
		found := []any{}
		described.Each(func(folder kadm.DescribedLogDir) {
			err = errors.Join(err, folder.Err)
			folder.Topics.Each(func(each kadm.DescribedLogDirPartition) {
				size := each.Size
				found = append(found, Number{Partition{each.Topic, each.Partition}, &size})
			})
		})
		return found, err
	}
	return nil, fmt.Errorf("no method %s", method)
}

// describeConfigs asks by itself: kadm's answer does not say what is read-only.
func (administering *Administering) describeConfigs(limit context.Context, request *Request) (any, error) {
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType = kmsg.ConfigResourceTypeBroker
	if request.Kind == "topic" {
		resource.ResourceType = kmsg.ConfigResourceTypeTopic
	}
	resource.ResourceName = request.Name
	asked := kmsg.NewPtrDescribeConfigsRequest()
	asked.Resources = append(asked.Resources, resource)
	described, err := asked.RequestWith(limit, administering.client)
	if err != nil {
		return nil, err
	}
	found := map[string]any{}
	for _, resource := range described.Resources {
		if err := kerr.ErrorForCode(resource.ErrorCode); err != nil {
			return nil, err
		}
		for _, config := range resource.Configs {
			found[config.Name] = map[string]any{
				"value":     config.Value,
				"default":   config.Source == kmsg.ConfigSourceDefaultConfig,
				"read_only": config.ReadOnly,
				"sensitive": config.IsSensitive,
			}
		}
	}
	return found, nil
}

func (administering *Administering) alterConfigs(limit context.Context, request *Request) error {
	changes := []kadm.AlterConfig{}
	for key, value := range request.Changes {
		operation := kadm.SetConfig
		if value == nil {
			operation = kadm.DeleteConfig
		}
		changes = append(changes, kadm.AlterConfig{Op: operation, Name: key, Value: value})
	}
	altered, err := administering.admin.AlterTopicConfigs(limit, changes, request.Name)
	if err != nil {
		return err
	}
	for _, each := range altered {
		if each.Err != nil {
			return each.Err
		}
	}
	return nil
}

func (administering *Administering) describeGroup(limit context.Context, group string) (any, error) {
	described, err := administering.admin.DescribeGroups(limit, group)
	if err != nil {
		return nil, err
	}
	found := described[group]
	if found.Err != nil {
		return nil, found.Err
	}
	members := []any{}
	for _, member := range found.Members {
		partitions := []Partition{}
		if assignment, consumer := member.Assigned.AsConsumer(); consumer {
			for _, topic := range assignment.Topics {
				for _, number := range topic.Partitions {
					partitions = append(partitions, Partition{topic.Topic, number})
				}
			}
		}
		members = append(members, map[string]any{
			"member_id": member.MemberID, "client_id": member.ClientID, "instance_id": member.InstanceID,
			"partitions": partitions,
		})
	}
	return map[string]any{"state": strings.ToLower(found.State), "protocol": found.Protocol, "members": members}, nil
}
