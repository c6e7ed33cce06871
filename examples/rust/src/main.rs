//! One record, there and back, with rskafka: cargo run

use std::collections::BTreeMap;
use std::error::Error;

use chrono::Utc;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::client::ClientBuilder;
use rskafka::record::Record;

const TOPIC: &str = "examples.rust";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::var("BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let client = ClientBuilder::new(vec![servers]).build().await?;
    if !client.list_topics().await?.iter().any(|topic| topic.name == TOPIC) {
        client.controller_client()?.create_topic(TOPIC, 1, 1, 5_000).await?;
    }
    let partition = client.partition_client(TOPIC, 0, UnknownTopicHandling::Retry).await?;

    let record = Record {
        key: None,
        value: Some(b"hello from rskafka".to_vec()),
        headers: BTreeMap::new(),
        timestamp: Utc::now(),
    };
    let offset = partition.produce(vec![record], Compression::NoCompression).await?[0];
    let (records, _) = partition.fetch_records(offset, 1..1_000_000, 10_000).await?;
    println!("{}", String::from_utf8(records[0].record.value.clone().unwrap())?);
    Ok(())
}
