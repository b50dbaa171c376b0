//! What a service offers of its config center.

use std::sync::Arc;

use regatta_config::Setting;
use regatta_config::center::Center;

use super::Watched;
use crate::{Error, Result, Service};

impl Service {
    /// The config center at `config_center.url` (`ETCDCTL_ENDPOINTS`): get, set and delete keys, and
    /// watch them by callback. Its watches end with the service.
    ///
    /// ```no_run
    /// # async fn example(service: &regatta::Service) -> Result<(), Box<dyn std::error::Error>> {
    /// let center = service.config_center()?;
    /// center.set("/shop/greeting", "hello").await?;
    /// let greeting: Option<String> = center.get("/shop/greeting").await?;
    /// center.watch("/shop/greeting", |change| println!("{:?}", change.value()))?;
    /// center.stop_watch("/shop/greeting");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoConfigCenter`] when none is set. That it is away is an error of the call.
    pub fn config_center(&self) -> Result<Center> {
        let Some(opened) = &self.config_center else {
            return Err(self.refuse(Error::NoConfigCenter));
        };
        let tasks = self.tasks.tracker().clone();
        Ok(Center::new(Arc::clone(&opened.center), tasks, self.tasks.drain().child_token()))
    }

    /// Watches one setting by its dotted key, through all layers: file, environment, config center.
    /// A changed value is taken over at once; one that is no `T` is refused with the configuration it
    /// stands in. A key that is deleted in the center falls back to the layer below.
    ///
    /// ```no_run
    /// # fn example(service: &regatta::Service) -> regatta::Result {
    /// let limit = service.watch::<u32>("payment.limit")?;
    /// let now = limit.current().unwrap_or(1000);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Settings`] when the value that is there now is no `T`.
    pub fn watch<T>(&self, key: &str) -> Result<Watched<T>>
    where
        T: Setting + Clone + PartialEq + Send + Sync + 'static,
    {
        self.live.watch(key).map_err(|problems| self.refuse(problems.into()))
    }
}
