//! The account that is logged in.

use serde_json::json;

use super::client::Client;
use super::errors::Failure;
use super::json::{Resource, elements, link, text};
use crate::bmc::{Password, reasons};

/// So many accounts are looked at; an iDRAC has 17 slots, most of them empty.
const MAX_ACCOUNTS: usize = 64;

/// Changes the password of the account that is logged in.
pub(super) async fn set_password(client: &mut Client, new: &Password) -> Result<(), Failure> {
    let text = std::str::from_utf8(new.expose())
        .map_err(|_| reasons::REFUSED.error("the new password is not UTF-8, which Redfish cannot carry"))?;
    let account = own(client).await?;
    client.patch(account, &json!({ "Password": text })).await?;
    client.use_password(new);
    Ok(())
}

/// The account. A BMC that wants another password first shows that account alone, and names it in its refusal (DSP0266,
/// "Password change required").
async fn own(client: &mut Client) -> Result<Resource, Failure> {
    match find(client).await {
        Err(Failure::Refused(refusal)) if refusal.reason() == reasons::PASSWORD_CHANGE_REQUIRED => {
            match &refusal.account {
                Some(account) => client.get(account).await,
                None => Err(Failure::Refused(refusal)),
            }
        }
        found => found,
    }
}

async fn find(client: &mut Client) -> Result<Resource, Failure> {
    let name = client.username().to_owned();
    let missing = |what: &str| Failure::from(reasons::UNSUPPORTED.error(format!("this BMC shows no {what}")));
    let service = client.root().await?.accounts.ok_or_else(|| missing("accounts"))?;
    let service = client.get(&service).await?;
    let accounts = link(&service.body, "/Accounts").ok_or_else(|| missing("accounts"))?;
    let accounts = client.get(&accounts).await?;
    for account in elements(&accounts.body, "/Members").take(MAX_ACCOUNTS).filter_map(|member| link(member, "")) {
        // Accounts of others may be hidden from this one.
        let account = match client.get(&account).await {
            Ok(account) => account,
            Err(Failure::Refused(refusal)) if refusal.reason() == reasons::PASSWORD_CHANGE_REQUIRED => {
                return Err(Failure::Refused(refusal));
            }
            Err(failure) if failure.status().is_some_and(|status| matches!(status, 400..=499)) => continue,
            Err(failure) => return Err(failure),
        };
        if text(&account.body, "/UserName").as_deref() == Some(name.as_str()) {
            return Ok(account);
        }
    }
    Err(missing(&format!("account named {name:?}")))
}
