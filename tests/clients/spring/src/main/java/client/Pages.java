package client;

import java.util.Map;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClient;
import org.springframework.security.oauth2.client.annotation.RegisteredOAuth2AuthorizedClient;
import org.springframework.security.oauth2.core.oidc.user.OidcUser;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** What the program knows of whoever is signed in. */
@RestController
public class Pages {
    @GetMapping("/")
    Map<String, Object> home() {
        return Map.of("page", "outside");
    }

    @GetMapping("/inside")
    Map<String, Object> inside(@AuthenticationPrincipal OidcUser user) {
        return Map.of(
                "claims", user.getIdToken().getClaims(),
                "userinfo", user.getUserInfo().getClaims());
    }

    /** Asks Spring for an access token as an application does: it refreshes one that ends soon. */
    @GetMapping("/token")
    Map<String, Object> token(
            @RegisteredOAuth2AuthorizedClient("yinzheng") OAuth2AuthorizedClient client) {
        return Map.of("access_token", client.getAccessToken().getTokenValue());
    }
}
