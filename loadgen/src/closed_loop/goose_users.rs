//! Users are goose's: it starts them, schedules them and waits for them. Of goose only that is
//! used, for its own requests and figures know neither ids nor mail, nor seeds, nor latency from
//! the intended start: a user lives one transaction, in which it takes our turns.
//!
//! The load begins once all users are there, so that starting them is no part of it. It ends by the
//! users telling goose that they are done: goose's kill switch is one for the whole process, and
//! its limit of iterations writes to the standard output.

use futures::future::BoxFuture;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionFunction};
use goose::{GooseAttack, GooseError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What a user (from 0) does from its beginning to its end.
pub(crate) type UserTask = Arc<dyn Fn(u64) -> BoxFuture<'static, ()> + Send + Sync>;

/// How soon goose is asked again whether a user who is done may go.
const GOING: Duration = Duration::from_millis(5);

/// Users who are there and wait for what they are to do. Dropped, they go.
pub(crate) struct UserPool {
    life: watch::Sender<Option<UserTask>>,
    goose: JoinHandle<Result<(), GooseError>>,
}

/// Marks a user who is done.
#[derive(Debug, Clone)]
struct Done;

impl UserPool {
    /// Starts so many users, and waits until all of them are there.
    pub async fn gather(count: usize) -> Result<UserPool, String> {
        keep_interrupts();
        let (life, begin) = watch::channel(None);
        let (came, mut coming) = mpsc::channel(1);
        let mut goose = tokio::spawn(attack(count, begin, came));
        for _ in 0..count {
            tokio::select! {
                Some(()) = coming.recv() => {}
                ended = &mut goose => return Err(ended_early(ended)),
            }
        }
        Ok(UserPool { life, goose })
    }

    /// Lets each live, and waits for the last one's end.
    pub async fn live(self, life: UserTask) -> Result<(), String> {
        self.life.send_replace(Some(life));
        match self.goose.await {
            Ok(Ok(())) => Ok(()),
            ended => Err(ended_early(ended)),
        }
    }
}

fn ended_early(ended: Result<Result<(), GooseError>, tokio::task::JoinError>) -> String {
    let why = match ended {
        Ok(Ok(())) => "they went before the load began".to_owned(),
        Ok(Err(e)) => e.to_string(),
        Err(e) => e.to_string(),
    };
    format!("the users of the closed loop could not be driven: {why}")
}

async fn attack(
    count: usize,
    begin: watch::Receiver<Option<UserTask>>,
    came: mpsc::Sender<()>,
) -> Result<(), GooseError> {
    let live: TransactionFunction = Arc::new(move |user: &mut GooseUser| {
        let (mut begin, came) = (begin.clone(), came.clone());
        Box::pin(async move {
            if user.get_session_data::<Done>().is_some() {
                sleep(GOING).await;
                return Ok(());
            }
            // Without anybody who waits for the users there is nothing to do.
            let there = came.send(()).await.is_ok();
            let life = begin.wait_for(Option::is_some).await.ok().and_then(|life| life.clone());
            if let (true, Some(life)) = (there, life) {
                life(user.weighted_users_index as u64).await;
            }
            user.set_session_data(Done);
            if let Some(goose) = &user.shutdown_channel {
                let _ = goose.send(user.weighted_users_index);
            }
            Ok(())
        })
    });
    let mut configuration = GooseConfiguration::default();
    // Named because it must be; no request of goose's own is ever sent.
    configuration.host = Some("http://127.0.0.1/".into());
    configuration.users = Some(count);
    // All within a tenth of a second, as far as the machine is able.
    configuration.increase_rate = Some((count * 10).to_string());
    configuration.quiet = 3;
    configuration.no_telnet = true;
    (configuration.no_metrics, configuration.no_print_metrics, configuration.no_error_summary) =
        (true, true, true);
    let scenario = Scenario::new("users").register_transaction(Transaction::new(live));
    GooseAttack::initialize_with_config(configuration)?
        // One idle client for all instead of one, with its certificates, for each.
        .set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies())?
        .register_scenario(scenario)
        .execute()
        .await?;
    Ok(())
}

/// Keeps Ctrl-C the program's own. Goose takes the signal over for the whole process and the rest
/// of its life, and leaves nothing cleaned up; its handler is refused where there is one already.
/// So this one, which does nothing, must be there first, and whoever wants to be told of the signal
/// by tokio must begin to listen after it.
pub fn keep_interrupts() {
    static KEPT: OnceLock<()> = OnceLock::new();
    KEPT.get_or_init(|| {
        if let Err(e) = ctrlc::set_handler(|| ()) {
            tracing::warn!("the handler of interrupts stays whose it is: {e}");
        }
    });
}
